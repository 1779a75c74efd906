package dev.weft.core.overlap;

import dev.weft.core.cluster.Tiles;
import dev.weft.core.collective.AllGather;
import dev.weft.core.collective.MaskPadding;
import dev.weft.core.collective.RingConcat;
import dev.weft.core.collective.RingShift;
import dev.weft.core.collective.RingSum;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * An all-gather whose result products read: they are computed tile by tile, the device's own first,
 * while the next tile comes from the neighbour. What else needs the gathered tensor gets the tiles
 * put together.
 */
final class RingGather {
  private final Node node;
  private final AllGather op;
  private final Graph graph;
  private final Map<Value, List<Node>> readers;
  private final Set<Value> returned;
  private final Map<Node, Integer> positions = new HashMap<>();
  private final Map<Value, Integer> makers = new HashMap<>();

  /** Products that read the tensor, as it is or carried, with the input that they read it as. */
  private final Map<Node, TiledNode> products = new LinkedHashMap<>();

  /** What makes another form of the tensor, each tile from its own. */
  private final Map<Node, TiledNode> carriers = new LinkedHashMap<>();

  private final Map<Node, Integer> tiledInput = new HashMap<>();
  private final Set<String> others = new LinkedHashSet<>();
  private final Set<Node> banned;
  private final Set<Node> included;
  private int place;

  /**
   * Finds out what can be computed tile by tile.
   *
   * @param banned products that are made in tiles already
   */
  RingGather(Node node, Graph graph, Set<Node> banned) {
    this.node = node;
    this.op = (AllGather) node.op();
    this.graph = graph;
    this.readers = graph.consumers();
    this.returned = new HashSet<>(graph.outputValues());
    this.banned = banned;
    for (int i = 0; i < graph.nodes().size(); i++) {
      Node each = graph.nodes().get(i);
      positions.put(each, i);
      for (Value value : each.outputs()) {
        makers.put(value, i);
      }
    }
    if (node.output(0).type().elements() > 0) {
      follow(node.output(0), op.dim());
    }
    products.keySet().removeAll(banned);
    this.included = new LinkedHashSet<>(products.keySet());
    settle();
  }

  private List<Node> readers(Value value) {
    return readers.getOrDefault(value, List.of());
  }

  private void follow(Value value, int dim) {
    if (returned.contains(value)) {
      others.add("it is a result");
    }
    for (Node reader : readers(value)) {
      int input = reader.inputs().indexOf(value);
      boolean once = input == reader.inputs().lastIndexOf(value);
      TiledNode tiled = TiledNode.along(reader, false, input, dim, op.members()).orElse(null);
      if (once && tiled != null && TiledNode.isProduct(reader)) {
        if (products.put(reader, tiled) != null) {
          // There is nothing to multiply the first tile with.
          banned.add(reader);
          others.add("it is multiplied with itself");
        }
        tiledInput.put(reader, input);
      } else if (tiled != null && reader.inputs().size() == 1 && tiled.output() != TiledNode.NONE) {
        carriers.put(reader, tiled);
        follow(reader.output(0), tiled.output());
      } else {
        others.add(reader.op().name() + " needs all of it");
      }
    }
  }

  /** Leaves out products whose other operands are not there when the loop must run. */
  private void settle() {
    int before;
    do {
      before = included.size();
      place = graph.nodes().size();
      for (Node product : included) {
        place = Math.min(place, Objects.requireNonNull(positions.get(product)));
      }
      for (Node reader : readers(node.output(0))) {
        if (!included.contains(reader) && !isOnlyCarrier(reader)) {
          place = Math.min(place, Objects.requireNonNull(positions.get(reader)));
        }
      }
      included.removeIf(product -> !hasOperands(product));
    } while (included.size() < before);
  }

  private boolean hasOperands(Node product) {
    int tiled = Objects.requireNonNull(tiledInput.get(product));
    for (int i = 0; i < product.inputs().size(); i++) {
      if (i != tiled && makers.getOrDefault(product.input(i), -1) >= place) {
        return false;
      }
    }
    return true;
  }

  /** Whether a node only serves products that take tiles. */
  private boolean isOnlyCarrier(Node reader) {
    return carriers.containsKey(reader)
        && !returned.contains(reader.output(0))
        && readers(reader.output(0)).stream()
            .allMatch(each -> included.contains(each) || isOnlyCarrier(each));
  }

  /** Whether some product can take tiles. */
  boolean loops() {
    return !included.isEmpty();
  }

  /** The products that take tiles. */
  Set<Node> included() {
    return included;
  }

  /** Why nothing can be done tile by tile, in words. */
  String why() {
    if (products.isEmpty()) {
      return others.isEmpty()
          ? "what multiplies it is computed in tiles of another tensor"
          : String.join(", ", others);
    }
    return "it is needed before all that it is multiplied with is there";
  }

  /** What products take, in words. */
  String words() {
    return included.stream()
        .map(product -> "%" + product.output(0).name())
        .collect(Collectors.joining(", "));
  }

  long bytes() {
    return (op.members() - 1) * shift(0).bytesSent(node.input(0).type());
  }

  private RingShift shift(int ahead) {
    return new RingShift(op.axes(), op.dim(), op.size(), ahead, 1);
  }

  List<CollectiveMatmul.Sent> sent() {
    TensorType tile = node.input(0).type();
    return List.of(new CollectiveMatmul.Sent(shift(0), tile, op.members() - 1));
  }

  /** The nodes of the graph with the loop in them. */
  List<Node> written(Ring ring, Set<Node> tileProducts) {
    int members = op.members();
    boolean even = Tiles.of(op.size(), op.axes()).isEven();
    boolean summed = included.stream().anyMatch(p -> tiled(p).output() == TiledNode.NONE);
    Value own = node.input(0);
    String name = node.output(0).name();
    if (summed && !even) {
      var mask = new MaskPadding(op.axes(), op.dim(), op.size(), 0);
      own = ring.add(mask, List.of(own), node.origin(), name + ".tile");
    }
    Value next = ring.add(shift(0), List.of(own), node.origin(), name + ".shift");
    List<Node> begun = ring.take();
    var tiles = new ArrayList<>(List.of(own));
    Map<Node, List<Value>> results = new LinkedHashMap<>();
    for (int step = 0; step < members; step++) {
      if (step > 0) {
        tiles.add(next);
        if (step + 1 < members) {
          next = ring.add(shift(step), List.of(next), node.origin(), name + ".shift");
        }
      }
      for (Node product : included) {
        results
            .computeIfAbsent(product, _ -> new ArrayList<>())
            .add(compute(product, tiles.getLast(), step, ring));
      }
    }
    results.forEach((product, parts) -> join(product, parts, ring));
    Set<Node> gone = new HashSet<>(included);
    carriers.keySet().stream().filter(this::isOnlyCarrier).forEach(gone::add);
    gone.add(node);
    boolean whole = returned.contains(node.output(0)) || !gone.containsAll(readers(node.output(0)));
    if (whole) {
      var joined = new RingConcat(op.axes(), op.dim(), op.size());
      ring.make(joined, tiles, node.output(0), node.origin());
    }
    List<Node> loop = ring.take();
    loop.stream().filter(TiledNode::isProduct).forEach(tileProducts::add);
    var nodes = new ArrayList<Node>();
    for (int i = 0; i <= graph.nodes().size(); i++) {
      if (i == place) {
        nodes.addAll(loop);
      }
      if (i == graph.nodes().size()) {
        break;
      }
      Node each = graph.nodes().get(i);
      if (each == node) {
        nodes.addAll(begun);
      } else if (!gone.contains(each)) {
        nodes.add(each);
      }
    }
    return nodes;
  }

  private TiledNode tiled(Node product) {
    return Objects.requireNonNull(products.get(product));
  }

  private Value compute(Node product, Value tile, int ahead, Ring ring) {
    TiledNode tiled = tiled(product);
    int input = Objects.requireNonNull(tiledInput.get(product));
    return ring.compute(
        tiled,
        i -> {
          Value operand = product.input(i);
          return i == input
              ? carried(operand, tile, ring)
              : tiled.inputs()[i] == TiledNode.NONE
                  ? operand
                  : ring.slice(operand, tiled.inputs()[i], ahead, product.origin());
        });
  }

  /** The tile in the form that a product reads. */
  private Value carried(Value form, Value tile, Ring ring) {
    if (form == node.output(0)) {
      return tile;
    }
    Node maker = graph.nodes().get(Objects.requireNonNull(makers.get(form)));
    TiledNode tiled = Objects.requireNonNull(carriers.get(maker));
    return ring.compute(tiled, _ -> carried(maker.input(0), tile, ring));
  }

  private void join(Node product, List<Value> parts, Ring ring) {
    Value result = product.output(0);
    int dim = tiled(product).output();
    if (dim != TiledNode.NONE) {
      var joined = new RingConcat(op.axes(), dim, result.type().size(dim));
      ring.make(joined, parts, result, product.origin());
      return;
    }
    ring.make(new RingSum(op.axes()), parts, result, product.origin());
  }
}
