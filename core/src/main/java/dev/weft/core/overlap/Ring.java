package dev.weft.core.overlap;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.collective.RingSlice;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.IntFunction;

/** Nodes being written for one tile after another of those that a ring of devices shares. */
final class Ring {
  private record Cut(Value value, int dim, int ahead) {}

  private final List<MeshAxis> axes;
  private final Set<String> names;
  private final List<Node> nodes = new ArrayList<>();
  private final Map<Cut, Value> slices = new HashMap<>();

  /**
   * An empty piece of a graph.
   *
   * @param axes of the devices
   * @param names those taken in the graph; new ones are added
   */
  Ring(List<MeshAxis> axes, Set<String> names) {
    this.axes = axes;
    this.names = names;
  }

  List<MeshAxis> axes() {
    return axes;
  }

  /** What was written since this was asked last. */
  List<Node> take() {
    List<Node> taken = List.copyOf(nodes);
    nodes.clear();
    return taken;
  }

  /** Applies an op of one result. */
  Value add(Op op, List<Value> inputs, Origin origin, String name) {
    TensorType type = op.infer(inputs.stream().map(Value::type).toList()).getFirst();
    String free = name;
    for (int number = 1; !names.add(free); number++) {
      free = name + "_" + number;
    }
    Value result = new Value(free, type);
    nodes.add(new Node(op, inputs, List.of(result), origin));
    return result;
  }

  /** Makes a value that there was before. */
  void make(Op op, List<Value> inputs, Value result, Origin origin) {
    nodes.add(new Node(op, inputs, List.of(result), origin));
  }

  /** The tile of a whole value, counted from the device's own. */
  Value slice(Value value, int dim, int ahead, Origin origin) {
    Value known = slices.get(new Cut(value, dim, ahead));
    if (known == null) {
      known = add(new RingSlice(axes, dim, ahead), List.of(value), origin, value.name() + ".tile");
      slices.put(new Cut(value, dim, ahead), known);
    }
    return known;
  }

  /**
   * Computes a node on a tile.
   *
   * @param operands by number of the input, a tile where the input has the factor
   */
  Value compute(TiledNode tiled, IntFunction<Value> operands) {
    Node node = tiled.node();
    TensorType type = node.output(0).type();
    if (tiled.output() != TiledNode.NONE) {
      long room = Tiles.of(type.size(tiled.output()), axes).room();
      type = type.with(type.shape().with(tiled.output(), room));
    }
    var inputs = new ArrayList<Value>();
    for (int i = 0; i < node.inputs().size(); i++) {
      inputs.add(operands.apply(i));
    }
    Op op = node.op().local(List.of(type));
    return add(op, inputs, node.origin(), node.output(0).name() + ".tile");
  }
}
