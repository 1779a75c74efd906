package dev.weft.engine.program;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Exp;
import dev.weft.core.op.Matmul;
import dev.weft.engine.device.Device;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

final class ProfileTest {
  @Test
  void timesEachCallAndSaysItsShapes() {
    TensorType type = TensorType.of(DataType.F32, 128, 128);
    var builder = new Builder("profiled");
    Value x = builder.input("x", type, Graph.Kind.DATA);
    Value square = builder.add(new Matmul(), List.of(x, x)).getFirst();
    builder.output(builder.add(new Exp(), List.of(square)).getFirst());
    try (Device device = Device.open(DeviceKind.CPU, 1, Bytes.parse("1MiB"))) {
      Executable executable = device.load(builder.build(), Map.of(x, device.allocate("x", type)));
      executable.run();
      assertEquals(List.of(), executable.profile());
      executable.startProfile();
      executable.run();
      List<CallTime> once = executable.profile();
      assertEquals(
          List.of("mm_out [128,128] [128,128] [128,128]", "exp [128,128] [128,128]"),
          once.stream().map(CallTime::call).toList());
      assertTrue(once.stream().allMatch(call -> call.nanoseconds() > 0));
      executable.run();
      assertTrue(executable.profile().getFirst().nanoseconds() > once.getFirst().nanoseconds());
    }
  }
}
