package dev.weft.core.interpret;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.collective.Bucket;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Coordinated;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Runs one partitioned graph on all devices of a mesh in lock step, in plain Java: the oracle of
 * sharding. Padding is poisoned: NaN among floats, far outside of every range among integers.
 */
public final class LockStep {
  private record Call(Op op, int tile, List<TensorType> types) {}

  private final Mesh mesh;
  private final Interpreter interpreter = new Interpreter((_, _, _) -> {});
  private final Map<Call, Graph> coordinated = new HashMap<>();
  private final IdentityHashMap<Graph, List<List<Value>>> lastUses = new IdentityHashMap<>();

  private LockStep(Mesh mesh) {
    this.mesh = mesh;
  }

  /**
   * The outputs of every device.
   *
   * @param inputs per device, the graph's inputs
   * @return per device, the graph's outputs
   */
  public static List<List<Literal>> run(Graph graph, Mesh mesh, List<List<Literal>> inputs) {
    var byInput = new ArrayList<List<Literal>>();
    for (int i = 0; i < graph.inputs().size(); i++) {
      int index = i;
      byInput.add(inputs.stream().map(device -> device.get(index)).toList());
    }
    List<List<Literal>> outputs = new LockStep(mesh).evaluate(graph, byInput);
    var byDevice = new ArrayList<List<Literal>>();
    for (int device = 0; device < mesh.size(); device++) {
      int index = device;
      byDevice.add(outputs.stream().map(output -> output.get(index)).toList());
    }
    return byDevice;
  }

  /**
   * The tiles of a tensor that a layout gives each device, padding poisoned. A partial layout puts
   * the tensor on the first devices along its axes, and what folds to nothing on the others.
   */
  public static List<Literal> scatter(Literal whole, Layout layout, Mesh mesh) {
    var tiles = new ArrayList<Literal>();
    for (int device = 0; device < mesh.size(); device++) {
      int at = device;
      boolean first =
          layout.partial().keySet().stream().allMatch(axis -> mesh.coordinate(at, axis) == 0);
      Box box = Box.of(whole.type(), layout, mesh, device);
      Literal tile = Exchange.blank(whole.type().with(box.room()), Double.NaN);
      if (first) {
        Exchange.copy(whole, box.start(), tile, new long[box.start().length], box.length());
      } else {
        double nothing = layout.partial().values().iterator().next().identity();
        tile = Exchange.blank(tile.type(), nothing);
      }
      tiles.add(tile);
    }
    return tiles;
  }

  /** What stands for unknown content: NaN among floats, far outside of every range else. */
  public static Literal poison(TensorType type) {
    return Exchange.blank(type, Double.NaN);
  }

  /**
   * The tensor that the devices' ' tiles make up; partial ones are folded.
   *
   * @throws IllegalStateException if replicas differ
   */
  public static Literal gather(TensorType type, List<Literal> tiles, Layout layout, Mesh mesh) {
    Literal whole = Exchange.blank(type, Double.NaN);
    var filled = new HashMap<List<Long>, Literal>();
    List<MeshAxis> partial = mesh.select(layout.partial().keySet().stream().sorted().toList());
    for (int device = 0; device < mesh.size(); device++) {
      int at = device;
      if (partial.stream().anyMatch(axis -> mesh.coordinate(at, axis.name()) != 0)) {
        continue;
      }
      Literal tile = tiles.get(device);
      if (!partial.isEmpty()) {
        int[] group = mesh.group(device, partial);
        var parts = new ArrayList<Literal>();
        for (int member : group) {
          parts.add(tiles.get(member));
        }
        var folding = layout.partial().values().iterator().next();
        tile = Exchange.run(new AllReduce(partial, folding), parts).getFirst();
      }
      Box box = Box.of(type, layout, mesh, device);
      Literal own = Exchange.blank(type.with(Shape.of(box.length())), 0);
      Exchange.copy(
          tile, new long[box.start().length], own, new long[box.start().length], box.length());
      var key = new ArrayList<Long>();
      for (long start : box.start()) {
        key.add(start);
      }
      for (long length : box.length()) {
        key.add(length);
      }
      Literal known = filled.putIfAbsent(key, own);
      if (known != null && !known.equals(own)) {
        throw new IllegalStateException(
            "devices hold different replicas of "
                + type
                + " "
                + layout
                + ": "
                + known
                + " and "
                + own
                + " on "
                + mesh.describe(device));
      }
      Exchange.copy(own, new long[box.start().length], whole, box.start(), box.length());
    }
    return whole;
  }

  /** One device's tile. */
  private record Box(long[] start, long[] length, Shape room) {
    static Box of(TensorType type, Layout layout, Mesh mesh, int device) {
      int rank = type.rank();
      long[] start = new long[rank];
      long[] length = new long[rank];
      long[] room = new long[rank];
      for (int dim = 0; dim < rank; dim++) {
        List<MeshAxis> axes = mesh.select(layout.axes(dim));
        Tiles tiles = Tiles.of(type.size(dim), axes);
        int tile = mesh.tile(device, axes);
        start[dim] = tiles.start(tile);
        length[dim] = tiles.length(tile);
        room[dim] = tiles.room();
      }
      return new Box(start, length, Shape.of(room));
    }
  }

  /** Per output, per device. */
  private List<List<Literal>> evaluate(Graph graph, List<List<Literal>> inputs) {
    List<List<Value>> lastUse = lastUses.computeIfAbsent(graph, Interpreter::lastUses);
    var values = new HashMap<Value, List<Literal>>();
    for (int i = 0; i < inputs.size(); i++) {
      values.put(graph.inputs().get(i).value(), inputs.get(i));
    }
    for (int index = 0; index < graph.nodes().size(); index++) {
      Node node = graph.nodes().get(index);
      List<List<Literal>> arguments =
          node.inputs().stream().map(v -> Objects.requireNonNull(values.get(v))).toList();
      List<List<Literal>> results = apply(node, arguments);
      for (int i = 0; i < results.size(); i++) {
        Value output = node.output(i);
        for (Literal result : results.get(i)) {
          if (!result.type().equals(output.type())) {
            throw new IllegalStateException(
                node.op().name() + " made " + result.type() + " for " + output);
          }
        }
        values.put(output, results.get(i));
      }
      lastUse.get(index).forEach(values::remove);
    }
    return graph.outputValues().stream().map(v -> Objects.requireNonNull(values.get(v))).toList();
  }

  private List<List<Literal>> apply(Node node, List<List<Literal>> inputs) {
    return switch (node.op()) {
      case Bucket bucket -> {
        var results = new ArrayList<List<Literal>>();
        for (int i = 0; i < inputs.size(); i++) {
          results.add(exchange(bucket.parts().get(i), inputs.get(i)));
        }
        yield results;
      }
      case Collective collective -> List.of(exchange(collective, inputs.getFirst()));
      case Repeat repeat -> repeat(repeat, inputs);
      default -> {
        var byDevice = new ArrayList<List<Literal>>();
        for (int device = 0; device < mesh.size(); device++) {
          int at = device;
          List<Literal> own = inputs.stream().map(argument -> argument.get(at)).toList();
          byDevice.add(
              node.op() instanceof Coordinated op
                  ? Interpreter.run(specialized(op, device, node.inputTypes()), own)
                  : interpreter.apply(node, own));
        }
        var results = new ArrayList<List<Literal>>();
        for (int i = 0; i < node.outputs().size(); i++) {
          int index = i;
          results.add(byDevice.stream().map(outputs -> outputs.get(index)).toList());
        }
        yield results;
      }
    };
  }

  private Graph specialized(Coordinated op, int device, List<TensorType> types) {
    int tile = mesh.tile(device, op.axes());
    return coordinated.computeIfAbsent(
        new Call(op, tile, types),
        call -> {
          var builder = new Builder(op.name());
          var arguments = new ArrayList<Tensor>();
          for (int i = 0; i < types.size(); i++) {
            arguments.add(
                new Tensor(builder, builder.input("x" + i, types.get(i), Graph.Kind.DATA)));
          }
          builder.output(op.on(builder, tile, arguments).value());
          return builder.build();
        });
  }

  private List<Literal> exchange(Collective collective, List<Literal> inputs) {
    Literal[] results = new Literal[mesh.size()];
    for (int device = 0; device < mesh.size(); device++) {
      if (results[device] != null) {
        continue;
      }
      int[] group = mesh.group(device, collective.axes());
      var members = new ArrayList<Literal>();
      for (int member : group) {
        members.add(inputs.get(member));
      }
      List<Literal> made = Exchange.run(collective, members);
      for (int i = 0; i < group.length; i++) {
        results[group[i]] = made.get(i);
      }
    }
    return List.of(results);
  }

  private List<List<Literal>> repeat(Repeat repeat, List<List<Literal>> inputs) {
    Graph body = repeat.body();
    List<List<Literal>> carried = inputs.subList(0, repeat.carried());
    var stacks = new ArrayList<List<Stack>>();
    for (Graph.Output output : body.outputs().subList(repeat.carried(), body.outputs().size())) {
      var perDevice = new ArrayList<Stack>();
      for (int device = 0; device < mesh.size(); device++) {
        perDevice.add(new Stack(output.value().type(), repeat.count()));
      }
      stacks.add(perDevice);
    }
    for (int round = 0; round < repeat.count(); round++) {
      int index = repeat.reverse() ? repeat.count() - 1 - round : round;
      var arguments = new ArrayList<List<Literal>>();
      Literal number = Literal.scalar(body.inputValues().getFirst().dtype(), index);
      arguments.add(java.util.Collections.nCopies(mesh.size(), number));
      arguments.addAll(carried);
      for (int i = repeat.carried(); i < inputs.size(); i++) {
        arguments.add(
            repeat.isStacked(i)
                ? inputs.get(i).stream().map(stack -> Stack.slice(stack, index)).toList()
                : inputs.get(i));
      }
      List<List<Literal>> results = evaluate(body, arguments);
      carried = results.subList(0, repeat.carried());
      for (int i = 0; i < stacks.size(); i++) {
        for (int device = 0; device < mesh.size(); device++) {
          stacks.get(i).get(device).set(index, results.get(repeat.carried() + i).get(device));
        }
      }
    }
    var outputs = new ArrayList<>(carried);
    stacks.forEach(stack -> outputs.add(stack.stream().map(Stack::literal).toList()));
    return outputs;
  }
}
