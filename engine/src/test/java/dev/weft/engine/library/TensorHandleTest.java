package dev.weft.engine.library;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.engine.buffer.DeviceMemory;
import dev.weft.engine.buffer.Slab;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class TensorHandleTest {
  private static final TensorType TYPE = TensorType.of(DataType.BF16, 2, 3);

  private final long live = TensorHandle.live();
  private final DeviceMemory memory = new DeviceMemory(Bytes.of(1 << 20));
  private final Slab slab = Slab.map(memory, 4096, "test");

  @AfterEach
  void nothingIsLeft() {
    slab.close();
    assertEquals(live, TensorHandle.live());
    assertEquals(Bytes.ZERO, memory.current());
  }

  @Test
  void knowsItsTypeAndPlace() {
    try (TensorHandle tensor = TensorHandle.view(slab, 64, TYPE)) {
      assertEquals(live + 1, TensorHandle.live());
      assertEquals(TYPE, tensor.type());
      assertEquals(slab.address() + 64, tensor.dataAddress());
      assertArrayEquals(new long[] {3, 1}, tensor.strides());
      assertEquals("TensorHandle[bf16[2,3]]", tensor.toString());
    }
  }

  @Test
  void useAfterCloseAndDoubleCloseThrow() {
    TensorHandle tensor = TensorHandle.view(slab, 0, TYPE);
    tensor.close();
    assertFalse(tensor.isOpen());
    assertThrows(IllegalStateException.class, tensor::address);
    assertThrows(IllegalStateException.class, tensor::type);
    assertThrows(IllegalStateException.class, tensor::close);
  }

  @Test
  void refusesWhatWouldEndTheProcess() {
    assertThrows(
        IllegalArgumentException.class,
        () -> TensorHandle.view(slab, 0, DataType.F32, new long[] {4}, new long[] {-1}));
    assertThrows(
        IllegalArgumentException.class,
        () -> TensorHandle.view(slab, 0, DataType.F32, new long[] {-4}, new long[] {1}));
  }

  @Test
  void refusesToReachOutOfItsMemory() {
    TensorHandle.view(slab, 0, DataType.F32, new long[] {1024}, new long[] {1}).close();
    TensorHandle.view(slab, 4096, DataType.F32, new long[] {0, 5}, new long[] {5, 1}).close();
    assertThrows(
        IllegalArgumentException.class,
        () -> TensorHandle.view(slab, 4, DataType.F32, new long[] {1024}, new long[] {1}));
    assertThrows(
        IllegalArgumentException.class,
        () -> TensorHandle.view(slab, 0, DataType.F32, new long[] {2, 2}, new long[] {1023, 1}));
    assertThrows(
        IllegalArgumentException.class,
        () -> TensorHandle.view(slab, -4, DataType.F32, new long[] {1}, new long[] {1}));
    assertThrows(
        IllegalArgumentException.class,
        () ->
            TensorHandle.view(
                MemorySegment.ofArray(new float[4]), DataType.F32, new long[] {4}, new long[] {1}));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment segment = arena.allocate(16, 16);
      TensorHandle.view(segment, DataType.F32, new long[] {4}, new long[] {1}).close();
      assertThrows(
          IllegalArgumentException.class,
          () -> TensorHandle.view(segment, DataType.F32, new long[] {5}, new long[] {1}));
    }
  }

  @Test
  void aSlabOutlivesItsTensors() {
    TensorHandle tensor = TensorHandle.view(slab, 0, TYPE);
    assertThrows(IllegalStateException.class, slab::close);
    tensor.close();
  }
}
