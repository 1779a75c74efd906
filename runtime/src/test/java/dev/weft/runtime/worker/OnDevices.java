package dev.weft.runtime.worker;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.shard.Partitioned;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.Literals;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A partitioned graph on devices, from whole tensors to whole tensors. */
final class OnDevices {
  private OnDevices() {}

  /** The outputs of {@code graph}, of which {@code local} is the part of each device. */
  static List<Literal> run(
      DeviceGroup group, Graph graph, Partitioned local, List<Literal> inputs) {
    var outputs = new ArrayList<Literal>();
    var buffers = new ArrayList<ShardedBuffer>();
    try {
      List<Map<Value, DeviceBuffer>> bound = new ArrayList<>();
      for (int device = 0; device < group.size(); device++) {
        bound.add(new HashMap<>());
      }
      for (int i = 0; i < inputs.size(); i++) {
        Literal input = inputs.get(i);
        Value value = local.graph().inputValues().get(i);
        var buffer =
            ShardedBuffer.allocate(group, value.name(), input.type(), local.inputs().get(i));
        buffers.add(buffer);
        MemorySegment whole = memory(input.type());
        Literals.write(input, whole);
        buffer.write(whole);
        for (int device = 0; device < group.size(); device++) {
          bound.get(device).put(value, buffer.on(device));
        }
      }
      try (GroupProgram program = group.load(local.graph(), bound)) {
        program.run();
        for (int i = 0; i < graph.outputs().size(); i++) {
          TensorType type = graph.outputValues().get(i).type();
          MemorySegment whole = memory(type);
          ShardedBuffer.of(group, program, i, type, local.outputs().get(i)).read(whole);
          outputs.add(Literals.read(type, whole));
        }
      }
    } finally {
      buffers.forEach(ShardedBuffer::close);
    }
    return outputs;
  }

  private static MemorySegment memory(TensorType type) {
    return Arena.ofAuto().allocate(Math.max(1, type.bytes()), 8);
  }
}
