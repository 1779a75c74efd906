package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Parameter;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class InitializationTest {
  private static Parameter parameter(String name, Initializer initializer, long... sizes) {
    return new Parameter(name, TensorType.of(DataType.F32, sizes), 0, initializer, "");
  }

  @Test
  void normalNumbersHaveTheirDeviation() {
    double[] values = Tensors.initial(parameter("w", Initializer.normal(0.02), 300, 400), 1);
    double mean = Arrays.stream(values).average().orElseThrow();
    double variance = Arrays.stream(values).map(x -> (x - mean) * (x - mean)).sum() / values.length;
    assertEquals(0, mean, 3e-4);
    assertEquals(0.02, Math.sqrt(variance), 2e-4);
    long far = Arrays.stream(values).filter(x -> Math.abs(x) > 0.04).count();
    assertEquals(0.0455, (double) far / values.length, 0.003);
  }

  @Test
  void uniformNumbersFillTheirRange() {
    double[] values = Tensors.initial(parameter("w", Initializer.uniform(-1, 3), 50000), 1);
    assertEquals(1, Arrays.stream(values).average().orElseThrow(), 0.03);
    assertTrue(Arrays.stream(values).allMatch(x -> x > -1 && x < 3));
    assertTrue(Arrays.stream(values).min().orElseThrow() < -0.99);
    assertTrue(Arrays.stream(values).max().orElseThrow() > 2.99);
  }

  /** A value depends on seed, name and place alone. */
  @Test
  void placesAreCountedFromTheFront() {
    var normal = Initializer.normal(1);
    double[] large = Tensors.initial(parameter("w", normal, 3, 20000), 1);
    double[] small = Tensors.initial(parameter("w", normal, 70), 1);
    assertArrayEquals(small, Arrays.copyOf(large, 70));
    assertArrayEquals(large, Tensors.initial(parameter("w", normal, 60000), 1));
    assertFalse(Arrays.equals(small, Tensors.initial(parameter("w", normal, 70), 2)));
    assertFalse(Arrays.equals(small, Tensors.initial(parameter("v", normal, 70), 1)));
  }

  @Test
  void constantsAreConstant() {
    double[] values = Tensors.initial(parameter("w", Initializer.ones(), 5), 1);
    assertArrayEquals(new double[] {1, 1, 1, 1, 1}, values);
  }
}
