package dev.weft.core.overlap;

import dev.weft.core.collective.AllGather;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.collective.AllToAll;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Coordinated;
import dev.weft.core.collective.HaloExchange;
import dev.weft.core.collective.MaskPadding;
import dev.weft.core.collective.OnFirst;
import dev.weft.core.collective.ReduceScatter;
import dev.weft.core.collective.StepSlice;
import dev.weft.core.collective.TileSlice;
import dev.weft.core.collective.WindowSlice;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.shard.Dimensions;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** The factors of what one device runs, collectives too. */
final class LocalFactors {
  private LocalFactors() {}

  /** The dims of a node's tensors as far as each element depends on those of its place alone. */
  static Dimensions apart(Node node) {
    return of(node, Set.of());
  }

  /** With dims, too, along which a collective joins members' full parts or takes them apart. */
  static Dimensions exchanged(Node node) {
    return of(node, Exchange.of(node).stream().map(Exchange::dim).collect(Collectors.toSet()));
  }

  private static Dimensions of(Node node, Set<Integer> exchanged) {
    return switch (node.op()) {
      case Collective op -> {
        Set<Integer> mixed = mixed(op);
        mixed.removeAll(exchanged);
        yield new Dimensions(node, isKnown(op) ? passing(node, mixed) : unknown(node));
      }
      case Coordinated op -> new Dimensions(node, local(op, node));
      default -> new Dimensions(node);
    };
  }

  private static boolean isKnown(Collective op) {
    return op instanceof AllReduce || !mixed(op).isEmpty();
  }

  /** The dims along which elements change their place. */
  private static Set<Integer> mixed(Collective op) {
    return new LinkedHashSet<>(
        switch (op) {
          case ReduceScatter scatter -> List.of(scatter.dim());
          case AllGather gather -> List.of(gather.dim());
          case AllToAll exchange -> List.of(exchange.split(), exchange.concat());
          case HaloExchange halo -> List.of(halo.dim());
          default -> List.<Integer>of();
        });
  }

  private static Factors local(Coordinated op, Node node) {
    return switch (op) {
      case OnFirst _ -> passing(node, Set.of());
      case MaskPadding mask -> passing(node, Set.of(mask.dim()));
      case TileSlice slice -> passing(node, Set.of(slice.dim()));
      case StepSlice slice -> passing(node, Set.of(slice.dim()));
      case WindowSlice slice -> passing(node, Set.of(slice.dim()));
      default -> unknown(node);
    };
  }

  /** Dims of the input that are those of the output, but for some. */
  private static Factors passing(Node node, Set<Integer> but) {
    int rank = node.input(0).type().rank();
    var left = new ArrayList<>(Factors.named("d", rank));
    var right = new ArrayList<>(left);
    Factors marks = new Factors(List.of(), List.of(), Map.of());
    for (int dim : but) {
      left.set(dim, List.of("i" + dim));
      right.set(dim, List.of("o" + dim));
      marks = marks.mark("i" + dim, Factors.Mark.WHOLE).mark("o" + dim, Factors.Mark.WHOLE);
    }
    return new Factors(List.of(left), List.of(right), marks.marks());
  }

  private static Factors unknown(Node node) {
    var sides = new ArrayList<List<List<List<String>>>>();
    Factors marks = new Factors(List.of(), List.of(), Map.of());
    for (List<Value> values : List.of(node.inputs(), node.outputs())) {
      var side = new ArrayList<List<List<String>>>();
      for (Value value : values) {
        List<List<String>> dims =
            Factors.named(sides.size() + "t" + side.size() + "d", value.type().rank());
        for (List<String> dim : dims) {
          marks = marks.mark(dim.getFirst(), Factors.Mark.WHOLE);
        }
        side.add(dims);
      }
      sides.add(side);
    }
    return new Factors(sides.getFirst(), sides.getLast(), marks.marks());
  }
}
