package dev.weft.core.graph;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class LiteralTest {
  private static final TensorType PAIR = TensorType.of(DataType.F32, 2);

  @Test
  void textShowsOneNumberWhereAllAreEqual() {
    assertEquals("f32[2]{1.5}", Literal.filled(PAIR, 1.5).toString());
    assertEquals("f32[2]{0.0, -0.0}", Literal.of(PAIR, new double[] {0.0, -0.0}).toString());
    assertEquals("f32[2]{NaN}", Literal.filled(PAIR, Double.NaN).toString());
    assertEquals("i64[]{7}", Literal.scalar(DataType.I64, 7).toString());
    assertEquals("f32[0]{}", Literal.filled(TensorType.of(DataType.F32, 0), 1).toString());
  }

  @Test
  void equalityIsOfTypeAndEveryBit() {
    assertEquals(Literal.filled(PAIR, Double.NaN), Literal.filled(PAIR, Double.NaN));
    assertNotEquals(Literal.filled(PAIR, 0.0), Literal.filled(PAIR, -0.0));
    assertNotEquals(Literal.filled(PAIR, 1), Literal.filled(PAIR.with(DataType.F64), 1));
    assertNotEquals(Literal.filled(PAIR, 1), Literal.filled(PAIR.with(Shape.of(2, 1)), 1));
  }

  @Test
  void arraysFitTheType() {
    assertThrows(IllegalArgumentException.class, () -> Literal.of(PAIR, new double[3]));
    assertThrows(IllegalArgumentException.class, () -> Literal.of(PAIR, new long[2]));
    Literal floats = Literal.filled(PAIR, 1);
    assertThrows(IllegalStateException.class, floats::longs);
    assertEquals(Shape.of(2, 1), floats.reshape(Shape.of(2, 1)).shape());
    assertThrows(IllegalArgumentException.class, () -> floats.reshape(Shape.of(3)));
  }
}
