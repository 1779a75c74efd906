package dev.weft.core.stage;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import dev.weft.core.trace.Parameter;
import dev.weft.core.trace.Traced;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Where the units of a model go so that each piece reads the parameters that it has in another cut:
 * to the first piece that has them all and is not before what the unit reads.
 */
final class Following {
  private final Traced traced;
  private final List<Unit> units;
  private final List<Piece> pieces;
  private final Map<Value, Parameter> parameters = new HashMap<>();

  /** The parameters that a value is made of alone, if it is. */
  private final Map<Value, Set<Value>> read = new HashMap<>();

  Following(Traced traced, List<Unit> units, List<Piece> pieces) {
    this.traced = traced;
    this.units = units;
    this.pieces = pieces;
    List<Value> values = traced.graph().inputs(Graph.Kind.PARAMETER);
    for (int i = 0; i < values.size(); i++) {
      parameters.put(values.get(i), traced.parameters().get(i));
      read.put(values.get(i), Set.of(values.get(i)));
    }
  }

  List<Integer> pieceOfUnit() {
    Placing placing = Placing.of(RepeatSplit.of(traced.graph(), Map.of()));
    Map<Value, Integer> earliest = new HashMap<>();
    Map<Node, List<Integer>> rounds = new HashMap<>();
    Set<Node> wanted = new HashSet<>();
    units.forEach(unit -> wanted.add(unit.node()));
    for (Node node : traced.graph().nodes()) {
      int from = node.inputs().stream().mapToInt(v -> earliest.getOrDefault(v, 0)).max().orElse(0);
      if (wanted.contains(node)) {
        int count = node.op() instanceof Repeat repeat ? repeat.count() : 1;
        var chosen = new ArrayList<Integer>();
        for (int round = 0; round < count; round++) {
          from = piece(new Unit(node, round), from);
          chosen.add(from);
        }
        rounds.put(node, chosen);
      } else if (placing.place(node) == Placing.Place.ANYWHERE) {
        Set<Value> all = new HashSet<>();
        node.inputs().forEach(v -> all.addAll(read.getOrDefault(v, Set.of())));
        node.outputs().forEach(v -> read.put(v, all));
      }
      for (Value output : node.outputs()) {
        earliest.put(output, from);
      }
    }
    return units.stream()
        .map(unit -> Objects.requireNonNull(rounds.get(unit.node())).get(unit.round()))
        .toList();
  }

  private int piece(Unit unit, int from) {
    for (int piece = from; piece < pieces.size(); piece++) {
      if (hasAll(pieces.get(piece), unit)) {
        return piece;
      }
    }
    throw new IllegalStateException(
        unit.name() + " reads parameters that no piece from number " + from + " on has");
  }

  private boolean hasAll(Piece piece, Unit unit) {
    Node node = unit.node();
    for (int i = 0; i < node.inputs().size(); i++) {
      for (Value value : read.getOrDefault(node.input(i), Set.of())) {
        Parameter parameter = Objects.requireNonNull(parameters.get(value));
        boolean layered = parameter.stackedDims() > 0;
        boolean sliced = layered && node.op() instanceof Repeat repeat && repeat.isStacked(i);
        int first = sliced ? Unit.slice((Repeat) node.op(), unit.round()) : 0;
        int last = sliced ? first : layered ? Math.toIntExact(parameter.type().size(0)) - 1 : 0;
        if (piece.parameters().stream().noneMatch(p -> has(p, parameter, first, last))) {
          return false;
        }
      }
    }
    return true;
  }

  private static boolean has(Parameter part, Parameter whole, int first, int last) {
    return part.name().equals(whole.name())
        && (whole.stackedDims() == 0
            || (part.firstLayer() <= first && last < part.firstLayer() + part.type().size(0)));
  }
}
