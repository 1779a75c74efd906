package dev.weft.engine.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.engine.library.Torch;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

final class DeviceThreadTest {
  @Test
  void everythingHappensOnOneThreadWithItsSettings() {
    try (DeviceThread device = DeviceThread.start("device-0", 1)) {
      Thread thread = device.execute(Thread::currentThread);
      assertSame(thread, device.execute(Thread::currentThread));
      assertEquals("device-0", thread.getName());
      assertFalse(device.execute(() -> Torch.instance().gradMode()));
      assertEquals(1, device.execute(() -> Torch.instance().threads()));
      assertTrue(device.execute(device::isCurrent));
      assertTrue(device.execute(() -> device.execute(device::isCurrent)));
    }
  }

  @Test
  void twoDevicesHaveSettingsOfTheirOwn() {
    try (DeviceThread first = DeviceThread.start("device-0", 1);
        DeviceThread second = DeviceThread.start("device-1", 2)) {
      assertEquals(1, first.execute(() -> Torch.instance().threads()));
      assertEquals(2, second.execute(() -> Torch.instance().threads()));
    }
  }

  @Test
  void keepsTheOrderOfSubmission() {
    List<Integer> order = new ArrayList<>();
    try (DeviceThread device = DeviceThread.start("device-0", 1)) {
      IntStream.range(0, 100).forEach(i -> device.submit(() -> order.add(i)));
    }
    assertEquals(IntStream.range(0, 100).boxed().toList(), order);
  }

  @Test
  void failuresReachTheCallerAndLeaveTheThreadAlive() {
    try (DeviceThread device = DeviceThread.start("device-0", 1)) {
      ArithmeticException failure = new ArithmeticException("no");
      ArithmeticException seen =
          assertThrows(
              ArithmeticException.class,
              () ->
                  device.execute(
                      () -> {
                        throw failure;
                      }));
      assertSame(failure, seen);
      assertTrue(seen.getSuppressed()[0].getMessage().contains("device-0"));
      IllegalStateException wrapped =
          assertThrows(
              IllegalStateException.class,
              () ->
                  device.execute(
                      () -> {
                        throw new IOException("disk");
                      }));
      assertEquals("disk", wrapped.getCause().getMessage());
      device.submit(
          () -> {
            Thread.currentThread().interrupt();
            return 0;
          });
      assertEquals(5, device.execute(() -> 5));
    }
  }

  @Test
  void aClosedThreadFinishesItsWorkAndTakesNoMore() {
    DeviceThread device = DeviceThread.start("device-0", 1);
    CompletableFuture<Integer> last = device.submit(() -> 7);
    device.close();
    device.close();
    assertEquals(7, last.join());
    assertThrows(IllegalStateException.class, () -> device.submit(() -> 0));
  }
}
