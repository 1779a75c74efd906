package dev.weft.core.overlap;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.collective.AllGather;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.collective.ReduceScatter;
import dev.weft.core.collective.Reducing;
import dev.weft.core.collective.RingShift;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Add;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * A sum over devices of what products make: while the sum of one tile goes round the ring, every
 * device computes its part of the next one and adds it. Device i begins with the tile before its
 * own and ends with its own, which all others have added to by then.
 */
final class RingReduce {
  /** How a tile of a value is made. */
  private sealed interface Part {
    /** A tile of a value that is there as a whole. */
    record Cut(Value value, int dim) implements Part {}

    /** A value without the dim. */
    record All(Value value) implements Part {}

    /** A node on tiles. */
    record Computed(TiledNode tiled, List<Part> operands) implements Part {}
  }

  private final Node node;
  private final Reducing op;
  private final int dim;
  private final Part part;
  private final Set<Node> products = new HashSet<>();
  private final Set<Node> made = new HashSet<>();

  private RingReduce(Node node, int dim, Part part) {
    this.node = node;
    this.op = (Reducing) node.op();
    this.dim = dim;
    this.part = part;
    gather(part);
  }

  private void gather(Part each) {
    if (each instanceof Part.Computed computed) {
      made.add(computed.tiled().node());
      if (TiledNode.isProduct(computed.tiled().node())) {
        products.add(computed.tiled().node());
      }
      computed.operands().forEach(this::gather);
    }
  }

  /**
   * How a sum over devices can be made tile by tile, if at all. An all-reduce is scattered along a
   * dim of its own choice, and gathered again.
   *
   * @param uses how many nodes and results read each value
   */
  static Optional<RingReduce> of(Node node, Map<Value, Node> producers, Map<Value, Integer> uses) {
    Reducing op = (Reducing) node.op();
    TensorType type = node.input(0).type();
    if (op.folding() != Folding.SUM || type.elements() == 0) {
      return Optional.empty();
    }
    for (int dim : dims(op, type)) {
      Optional<Part> part = part(node.input(0), dim, op.members(), producers, uses);
      if (part.isPresent()) {
        return Optional.of(new RingReduce(node, dim, part.get()));
      }
    }
    return Optional.empty();
  }

  /** The dims to try: even ones first, outer ones first. */
  private static List<Integer> dims(Reducing op, TensorType type) {
    return switch (op) {
      case ReduceScatter scatter -> List.of(scatter.dim());
      case AllReduce _ -> {
        var dims = new ArrayList<Integer>();
        for (boolean even : new boolean[] {true, false}) {
          IntStream.range(0, type.rank())
              .filter(d -> type.size(d) >= op.members())
              .filter(d -> (type.size(d) % op.members() == 0) == even)
              .forEach(dims::add);
        }
        yield dims;
      }
    };
  }

  /** How a tile is made by a product, or of what a product makes; empty where none is near. */
  private static Optional<Part> part(
      Value value, int dim, int members, Map<Value, Node> producers, Map<Value, Integer> uses) {
    Node maker = producers.get(value);
    if (maker == null || uses.getOrDefault(value, 0) != 1) {
      return Optional.empty();
    }
    Optional<TiledNode> tiled = TiledNode.along(maker, true, 0, dim, members);
    if (tiled.isEmpty()) {
      return Optional.empty();
    }
    boolean product = TiledNode.isProduct(maker);
    boolean found = product;
    var operands = new ArrayList<Part>();
    for (int i = 0; i < maker.inputs().size(); i++) {
      Value input = maker.input(i);
      int cut = tiled.get().inputs()[i];
      if (cut == TiledNode.NONE) {
        operands.add(new Part.All(input));
        continue;
      }
      Optional<Part> inner =
          product ? Optional.empty() : part(input, cut, members, producers, uses);
      found |= inner.isPresent();
      operands.add(inner.orElse(new Part.Cut(input, cut)));
    }
    return found ? Optional.of(new Part.Computed(tiled.get(), operands)) : Optional.empty();
  }

  /** The products that are computed tile by tile. */
  Set<Node> products() {
    return products;
  }

  /** What is computed in tiles, and no longer as a whole. */
  Set<Node> made() {
    return made;
  }

  /** The bytes that a device sends round the ring. */
  long bytes() {
    TensorType type = node.input(0).type();
    return (op.members() - 1) * shift(1).bytesSent(tile(type));
  }

  private TensorType tile(TensorType type) {
    return type.with(type.shape().with(dim, Tiles.of(type.size(dim), op.axes()).room()));
  }

  private RingShift shift(int ahead) {
    return new RingShift(op.axes(), dim, node.input(0).type().size(dim), ahead, -1);
  }

  /** What is sent instead, in the words of {@link CollectiveMatmul}. */
  List<CollectiveMatmul.Sent> sent() {
    TensorType tile = tile(node.input(0).type());
    var sent = new ArrayList<CollectiveMatmul.Sent>();
    sent.add(new CollectiveMatmul.Sent(shift(1), tile, op.members() - 1));
    if (op instanceof AllReduce) {
      sent.add(new CollectiveMatmul.Sent(gathering(), tile, 1));
    }
    return sent;
  }

  private AllGather gathering() {
    return new AllGather(op.axes(), dim, node.input(0).type().size(dim));
  }

  /** What stands in the place of the collective. */
  List<Node> written(Ring ring, Set<Node> tileProducts) {
    int members = op.members();
    String name = node.input(0).name();
    Value sum = null;
    for (int step = 0; step < members; step++) {
      int ahead = members - 1 - step;
      Value received =
          sum == null
              ? null
              : ring.add(shift(ahead + 1), List.of(sum), node.origin(), name + ".shift");
      Value own = made(part, ahead, ring, node.origin());
      if (received == null) {
        sum = own;
      } else if (ahead == 0 && op instanceof ReduceScatter) {
        ring.make(new Add(), List.of(received, own), node.output(0), node.origin());
      } else {
        sum = ring.add(new Add(), List.of(received, own), node.origin(), name + ".sum");
      }
    }
    if (op instanceof AllReduce && sum != null) {
      ring.make(gathering(), List.of(sum), node.output(0), node.origin());
    }
    List<Node> nodes = ring.take();
    nodes.stream().filter(TiledNode::isProduct).forEach(tileProducts::add);
    return nodes;
  }

  private static Value made(Part part, int ahead, Ring ring, Origin origin) {
    return switch (part) {
      case Part.All all -> all.value();
      case Part.Cut cut -> ring.slice(cut.value(), cut.dim(), ahead, origin);
      case Part.Computed computed -> {
        Map<Integer, Value> operands = new HashMap<>();
        for (int i = 0; i < computed.operands().size(); i++) {
          Origin own = computed.tiled().node().origin();
          operands.put(i, made(computed.operands().get(i), ahead, ring, own));
        }
        yield ring.compute(computed.tiled(), operands::get);
      }
    };
  }
}
