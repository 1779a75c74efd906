package dev.weft.engine.program;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.BiFunction;

/**
 * A graph as commands on buffers: everything decided but the addresses.
 *
 * @param commands in the order in which they run
 * @param constants memory to be filled when the program is loaded
 * @param plan where scratch buffers lie
 */
record Program(List<Command> commands, Map<Buffer, Literal> constants, MemoryPlan plan) {

  /**
   * Lowers a graph whose composites without kernels have been expanded.
   *
   * @param routes chooses how an op is computed
   * @param bound the places of all inputs
   * @param results the places of all outputs
   */
  static Program of(
      Graph graph,
      DeviceKind kind,
      BiFunction<Op, List<TensorType>, Route> routes,
      Map<Value, ? extends Place> bound,
      List<Place> results) {
    Flattening flattening =
        Flattening.of(
            graph, kind, routes, input -> Objects.requireNonNull(bound.get(input)).layout());
    Map<Buffer, Literal> constants = new LinkedHashMap<>();
    for (Flat constant : flattening.constants()) {
      Buffer buffer = new Buffer(constant.name, constant.type.bytes(), null);
      constant.place = Operand.dense(buffer, constant.type.dtype(), constant.type.shape());
      constants.put(buffer, Objects.requireNonNull(constant.literal));
    }
    Placement placement = Placement.of(graph, flattening, kind, bound, results);
    var writer = new CommandWriter(placement, constants);
    List<Command> commands = writer.write();
    Set<Buffer> used = new HashSet<>(writer.buffers());
    constants.keySet().retainAll(used);
    List<Buffer> scratch =
        writer.buffers().stream().filter(b -> b.isScratch() && !constants.containsKey(b)).toList();
    return new Program(commands, constants, MemoryPlan.of(scratch));
  }
}
