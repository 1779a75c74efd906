package dev.weft.engine.buffer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

final class SlabTest {
  private final DeviceMemory memory = new DeviceMemory(Bytes.of(64 << 20));

  @Test
  void isZeroAlignedAndBooked() {
    int live = Slab.live();
    long bytes = Slab.liveBytes();
    try (Slab slab = Slab.map(memory, 5000, "activations")) {
      assertEquals(8192, slab.bytes());
      assertEquals(0, slab.address() % 4096);
      assertEquals(0, slab.segment().get(ValueLayout.JAVA_BYTE, 8191));
      assertEquals(Bytes.of(8192), memory.current(MemoryKind.PLANNED));
      assertEquals(live + 1, Slab.live());
      assertEquals(bytes + 8192, Slab.liveBytes());
    }
    assertEquals(live, Slab.live());
    assertEquals(bytes, Slab.liveBytes());
    assertEquals(Bytes.ZERO, memory.current());
    assertEquals(Bytes.of(8192), memory.peak());
  }

  @Test
  void aLargeOneBeginsAtAHugePage() {
    try (Slab slab = Slab.map(memory, 5 << 20, "activations")) {
      assertEquals(0, slab.address() % (2 << 20));
      slab.segment().set(ValueLayout.JAVA_BYTE, slab.bytes() - 1, (byte) 1);
    }
  }

  @Test
  void isFreedOnce() {
    Slab slab = Slab.map(memory, 1, "activations");
    slab.close();
    assertThrows(IllegalStateException.class, slab::close);
    assertThrows(IllegalStateException.class, slab::hold);
    assertThrows(IllegalStateException.class, () -> slab.segment().get(ValueLayout.JAVA_BYTE, 0));
    assertEquals(Bytes.ZERO, memory.current());
  }

  @Test
  void isNotFreedUnderThoseWhoLookIntoIt() {
    Slab slab = Slab.map(memory, 1, "activations");
    slab.hold();
    assertThrows(IllegalStateException.class, slab::close);
    slab.release();
    assertThrows(IllegalStateException.class, slab::release);
    slab.close();
  }

  @Test
  void doesNotGoAboveTheBudget() {
    OutOfDeviceMemoryException e =
        assertThrows(
            OutOfDeviceMemoryException.class, () -> Slab.map(memory, 65 << 20, "activations"));
    assertTrue(e.getMessage().contains("activations needs 65.00 MiB (68157440 bytes)"));
    assertEquals(Bytes.of(64 << 20), e.left());
    assertEquals(Bytes.ZERO, memory.current());
  }

  @Test
  void doesNotGoAboveTheMachine() {
    DeviceMemory boundless = new DeviceMemory(Bytes.of(Long.MAX_VALUE));
    assertThrows(
        OutOfDeviceMemoryException.class, () -> Slab.map(boundless, 1L << 56, "activations"));
    assertEquals(Bytes.ZERO, boundless.current());
  }
}
