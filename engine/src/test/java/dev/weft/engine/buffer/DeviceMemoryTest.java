package dev.weft.engine.buffer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.weft.core.cluster.Bytes;
import org.junit.jupiter.api.Test;

final class DeviceMemoryTest {
  @Test
  void keepsAccountOfEveryKindAndOfThePeak() {
    DeviceMemory memory = new DeviceMemory(Bytes.of(100));
    memory.take(MemoryKind.PLANNED, 40, "slab");
    memory.take(MemoryKind.ADOPTED, 30, "attention");
    memory.pass(30, "softmax");
    assertEquals(Bytes.of(70), memory.current());
    assertEquals(Bytes.of(30), memory.current(MemoryKind.ADOPTED));
    assertEquals(Bytes.of(100), memory.peak());
    memory.give(MemoryKind.ADOPTED, 30);
    memory.resetPeak();
    assertEquals(Bytes.of(40), memory.peak());
    assertThrows(IllegalStateException.class, () -> memory.give(MemoryKind.ADOPTED, 1));
  }

  @Test
  void refusesWhatIsNotLeftAndTakesNothing() {
    DeviceMemory memory = new DeviceMemory(Bytes.of(100));
    memory.take(MemoryKind.PLANNED, 60, "slab");
    OutOfDeviceMemoryException e =
        assertThrows(OutOfDeviceMemoryException.class, () -> memory.pass(41, "softmax"));
    assertEquals("softmax", e.operation());
    assertEquals(Bytes.of(41), e.needed());
    assertEquals(Bytes.of(40), e.left());
    assertEquals(Bytes.of(60), memory.current());
    assertThrows(OutOfDeviceMemoryException.class, () -> memory.require(41, "softmax"));
    memory.require(40, "softmax");
    assertEquals(Bytes.of(60), memory.peak());
    memory.pass(40, "softmax");
  }
}
