package dev.weft.core.simulate;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Curve;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Gelu;
import dev.weft.core.op.GeluGradient;
import dev.weft.core.op.Tensor;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** A device that moves 100 bytes per second, rearranges at half of that, and has slow calls. */
final class OpCostsTest {
  private static final double CALL = 0.5;
  private static final DeviceProfile DEVICE =
      new DeviceProfile(
          new Bytes(1 << 30),
          Map.of("f32", 10.0),
          100,
          CALL,
          Map.of("rearrangement", new Curve(List.of(new Curve.Point(1, 0.5)))));

  private final Builder builder = new Builder("g");

  private Tensor input(String name, long... sizes) {
    return new Tensor(
        builder, builder.input(name, TensorType.of(DataType.F32, sizes), Graph.Kind.DATA));
  }

  private double total(Tensor... results) {
    for (Tensor result : results) {
      builder.output(result.value());
    }
    return OpCosts.seconds(builder.build(), DEVICE).values().stream()
        .mapToDouble(seconds -> seconds)
        .sum();
  }

  @Test
  void viewsOfViewsTakeNothing() {
    assertEquals(0, total(input("x", 4, 6).reshape(2, 2, 6).transpose(List.of(2, 0, 1))));
  }

  @Test
  void whatCannotBeAViewOfAViewIsCopied() {
    assertEquals(
        CALL + 2 * 24 * 4 / 50.0, total(input("x", 4, 6).transpose(List.of(1, 0)).reshape(24)));
  }

  /** What is kept is copied, and the product made onto the copy. */
  @Test
  void aSumThatOnlyReadsAProductCopiesItsOtherOperand() {
    Tensor product = input("x", 4, 5).matmul(input("w", 5, 6));
    double made = CALL + 2 * 4 * 5 * 6 / 10.0;
    assertEquals(made + 3 * 24 * 4 / 100.0, total(product.plus(input("y", 4, 6))), 1e-12);
  }

  @Test
  void aProductIsMadeOntoWhatNothingElseReads() {
    Tensor product = input("x", 4, 5).matmul(input("w", 5, 6));
    Tensor sum =
        new Tensor(
            builder, builder.input("s", TensorType.of(DataType.F32, 4, 6), Graph.Kind.ACCUMULATOR));
    double made = CALL + 2 * 4 * 5 * 6 / 10.0;
    assertEquals(made + 24 * 4 / 100.0, total(product.plus(sum)), 1e-12);
  }

  @Test
  void aBiasIsWrittenToEveryRowFirst() {
    Tensor product = input("x", 4, 5).matmul(input("w", 5, 6));
    Tensor bias = input("b", 6).broadcast(product.shape(), List.of(1));
    double made = CALL + 2 * 4 * 5 * 6 / 10.0;
    assertEquals(made + (2 * 24 + 6) * 4 / 100.0, total(product.plus(bias)), 1e-12);
  }

  @Test
  void aProductThatIsReadTwiceIsAddedByItself() {
    Tensor product = input("x", 4, 5).matmul(input("w", 5, 6));
    double made = CALL + 2 * 4 * 5 * 6 / 10.0;
    double added = CALL + 3 * 24 * 4 / 100.0;
    assertEquals(made + added, total(product.plus(input("y", 4, 6)), product), 1e-12);
  }

  @Test
  void transcendentalOpsTakeWhatTheirElementsTake() {
    Tensor x = input("x", 100);
    double forward = CALL + 800 / 100.0;
    Tensor gradient = Tensor.one(new GeluGradient(Gelu.Form.TANH), input("g", 100), x);
    assertEquals(2 * forward, total(x.gelu(Gelu.Form.TANH), gradient), 1e-12);
  }
}
