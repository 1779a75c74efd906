package dev.weft.engine.program;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class NoiseTest {
  private static final int PERIOD = Noise.PERIOD;

  private static double[] filled(Device device, TensorType type) {
    try (DeviceBuffer buffer = device.allocate("x", type)) {
      buffer.segment().fill((byte) 0x7f);
      Noise.fill(buffer);
      Literal found = Literals.read(type, buffer.segment());
      return IntStream.range(0, found.elements()).mapToDouble(found::asDouble).toArray();
    }
  }

  /** Of every type, around and beyond the number after which the same numbers come again. */
  @ParameterizedTest
  @EnumSource(DataType.class)
  void fillsAllWithNumbersThatComeAgain(DataType dtype) {
    try (Device device = Device.open(DeviceKind.CPU, 1, Bytes.parse("16MiB"))) {
      double[] all = filled(device, TensorType.of(dtype, 3 * PERIOD + 5));
      for (int i = 0; i < all.length; i++) {
        boolean fits =
            dtype.isFloat()
                ? all[i] >= -1 && all[i] <= 1
                : all[i] >= 0 && all[i] < (dtype == DataType.BOOL ? 2 : Noise.ROWS);
        assertTrue(fits, "element " + i + " is " + all[i]);
        assertEquals(all[i % PERIOD], all[i], "element " + i);
      }
      double[] period = Arrays.copyOf(all, PERIOD);
      double highest = dtype.isFloat() ? 1 : dtype == DataType.BOOL ? 1 : Noise.ROWS - 1;
      double lowest = dtype.isFloat() ? -1 : 0;
      double mean = Arrays.stream(period).average().orElseThrow();
      double spread = Arrays.stream(period).map(x -> x * x).average().orElseThrow() - mean * mean;
      // About those of numbers that are all as likely.
      double width = highest - lowest;
      assertEquals((highest + lowest) / 2, mean, 0.01 * width);
      assertEquals(width * width / (dtype == DataType.BOOL ? 4 : 12), spread, 0.01 * width * width);
      for (int size : new int[] {1, 2, PERIOD - 1, PERIOD, PERIOD + 1}) {
        double[] found = filled(device, TensorType.of(dtype, size));
        assertTrue(Arrays.equals(Arrays.copyOf(all, size), found), size + " elements");
      }
      assertEquals(all[0], filled(device, TensorType.scalar(dtype))[0]);
    }
  }
}
