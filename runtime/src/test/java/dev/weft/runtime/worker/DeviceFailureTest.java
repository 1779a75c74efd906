package dev.weft.runtime.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Tensor;
import dev.weft.engine.buffer.OutOfDeviceMemoryException;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.device.DeviceThread;
import dev.weft.engine.library.KernelException;
import dev.weft.engine.library.TensorHandle;
import dev.weft.engine.program.Route;
import dev.weft.engine.program.Routes;
import dev.weft.runtime.collective.CollectiveCounters;
import dev.weft.runtime.collective.CollectiveTimeoutException;
import dev.weft.runtime.collective.DeviceFailedException;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Whatever happens to one device, all end soon and say why. */
@Timeout(30)
final class DeviceFailureTest {
  private static final Mesh MESH = Mesh.parse("data=2,model=2");

  private long handlesBefore;

  @BeforeEach
  void count() {
    handlesBefore = TensorHandle.live();
  }

  @AfterEach
  void nothingLeaks() {
    assertEquals(handlesBefore, TensorHandle.live());
  }

  private static DeviceGroup open(Duration patience) {
    return DeviceGroup.open(
        DeviceKind.CPU, MESH, 1, Bytes.of(64L << 20), Routes.always(Route.DIRECT), patience);
  }

  /** Rows of a table, summed over all devices, many times. */
  private static final class Setup implements AutoCloseable {
    final DeviceGroup group;
    final List<DeviceBuffer> ids = new ArrayList<>();
    final List<DeviceBuffer> buffers = new ArrayList<>();
    final GroupProgram program;

    Setup(DeviceGroup group) {
      this.group = group;
      var builder = new Builder("rows");
      Value table = builder.input("table", TensorType.of(DataType.F32, 4, 3), Graph.Kind.DATA);
      Value row = builder.input("row", TensorType.of(DataType.I64, 2), Graph.Kind.DATA);
      Tensor sum = new Tensor(builder, table);
      for (int i = 0; i < 5; i++) {
        Tensor rows = sum.embedding(new Tensor(builder, row));
        sum = Tensor.concat(0, List.of(rows, rows));
        sum = Tensor.one(new AllReduce(MESH.axes(), Folding.SUM), sum);
      }
      builder.output(sum.value());
      List<Map<Value, DeviceBuffer>> bound = new ArrayList<>();
      for (int device = 0; device < group.size(); device++) {
        DeviceBuffer first = group.device(device).allocate("table", table.type());
        DeviceBuffer second = group.device(device).allocate("row", row.type());
        bound.add(Map.of(table, first, row, second));
        ids.add(second);
        buffers.addAll(List.of(first, second));
      }
      program = group.load(builder.build(), bound);
    }

    @Override
    public void close() {
      program.close();
      buffers.forEach(DeviceBuffer::close);
      group.close();
    }
  }

  @Test
  void aKernelThatFailsStopsAll() {
    try (var setup = new Setup(open(Duration.ofMinutes(5)))) {
      setup.program.run();
      CollectiveCounters counters = setup.group.counters(3);
      assertEquals(5, counters.count());
      assertEquals(5 * 2 * 3 * 48 / 4, counters.bytesSent());
      setup.ids.get(2).segment().set(ValueLayout.JAVA_LONG, 0, 77);
      long start = System.nanoTime();
      var failure = assertThrows(DeviceFailedException.class, setup.program::run);
      assertTrue(System.nanoTime() - start < 5_000_000_000L);
      assertEquals("2 (data=1,model=0)", failure.device());
      assertInstanceOf(KernelException.class, failure.getCause());
      assertTrue(
          String.valueOf(failure.getMessage()).startsWith("device 2 (data=1,model=0) failed: "),
          failure.getMessage());
      // Nobody can go on with a group that has lost one.
      var again = assertThrows(DeviceFailedException.class, setup.program::run);
      assertEquals("2 (data=1,model=0)", again.device());
    }
  }

  @Test
  void aDeviceThatDoesNotComeIsNamed() {
    try (var setup = new Setup(open(Duration.ofMillis(200)))) {
      setup.program.run();
      var failure =
          assertThrows(
              DeviceFailedException.class,
              () ->
                  setup.group.onAll(
                      device -> {
                        if (device != 3) {
                          setup.program.on(device).run();
                        } else {
                          LockSupport.parkNanos(2_000_000_000L);
                        }
                        return device;
                      }));
      assertInstanceOf(CollectiveTimeoutException.class, failure.getCause());
      String message = String.valueOf(failure.getMessage());
      assertTrue(message.contains("for device 3 (data=1,model=1), which did not come"), message);
      assertTrue(message.contains("all_reduce making %all_reduce"), message);
    }
  }

  @Test
  void oneThatIsAskedOnItsOwnThreadFailsLikeAnyOther() {
    try (DeviceGroup group =
        DeviceGroup.open(DeviceKind.CPU, Mesh.SINGLE, 1, Bytes.of(64L << 20))) {
      DeviceThread thread = group.device(0).thread();
      assertEquals(List.of(7), thread.execute(() -> group.onAll(device -> device + 7)));
      var failure =
          assertThrows(
              DeviceFailedException.class,
              () ->
                  thread.execute(
                      () ->
                          group.onAll(
                              _ -> {
                                assertTrue(thread.isCurrent());
                                throw new IllegalStateException("lost");
                              })));
      assertTrue(failure.device().startsWith("0 ("), failure.device());
      assertEquals("lost", failure.getCause().getMessage());
      assertThrows(
          DeviceFailedException.class, () -> thread.execute(() -> group.onAll(device -> device)));
      assertThrows(DeviceFailedException.class, () -> group.onAll(device -> device));
    }
  }

  /** Before its first collective even: when its memory is laid out. */
  @Test
  void aDeviceWithoutMemoryStopsAll() {
    try (DeviceGroup group = open(Duration.ofMinutes(5))) {
      var builder = new Builder("large");
      Value x = builder.input("x", TensorType.of(DataType.F32, 2 << 20), Graph.Kind.DATA);
      Tensor y = new Tensor(builder, x).exp();
      Tensor sum = Tensor.one(new AllReduce(MESH.axes(), Folding.SUM), y);
      builder.output(y.plus(sum).sum().value());
      List<DeviceBuffer> buffers = new ArrayList<>();
      List<Map<Value, DeviceBuffer>> bound = new ArrayList<>();
      for (int device = 0; device < group.size(); device++) {
        buffers.add(group.device(device).allocate("x", x.type()));
        bound.add(Map.of(x, buffers.getLast()));
      }
      TensorType most = TensorType.of(DataType.F32, 11 << 20);
      buffers.add(group.device(1).allocate("what takes the memory", most));
      try (GroupProgram program = group.load(builder.build(), bound)) {
        var failure = assertThrows(DeviceFailedException.class, program::run);
        assertEquals("1 (data=0,model=1)", failure.device());
        assertInstanceOf(OutOfDeviceMemoryException.class, failure.getCause());
        assertNotNull(failure.getCause().getMessage());
      }
      buffers.forEach(DeviceBuffer::close);
    }
  }
}
