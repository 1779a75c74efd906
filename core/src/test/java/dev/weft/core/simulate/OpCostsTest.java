package dev.weft.core.simulate;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Curve;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Gelu;
import dev.weft.core.op.GeluGradient;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

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
    return input(builder, name, Graph.Kind.DATA, sizes);
  }

  private static Tensor input(Builder builder, String name, Graph.Kind kind, long... sizes) {
    return new Tensor(builder, builder.input(name, TensorType.of(DataType.F32, sizes), kind));
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
    Tensor sum = input(builder, "s", Graph.Kind.ACCUMULATOR, 4, 6);
    double made = CALL + 2 * 4 * 5 * 6 / 10.0;
    assertEquals(made, total(product.plus(sum)), 1e-12);
  }

  /** Gradients of a stack: every round adds a product to its part of the sum. */
  @ParameterizedTest
  @EnumSource(
      value = Graph.Kind.class,
      names = {"ACCUMULATOR", "DATA"})
  void roundsMakeProductsOntoPartsOfWhatNothingElseReads(Graph.Kind kind) {
    var round = new Builder("round");
    round.input("round", TensorType.scalar(DataType.I64), Graph.Kind.DATA);
    Tensor sum = input(round, "s", Graph.Kind.DATA, 4, 6);
    Tensor product =
        input(round, "x", Graph.Kind.DATA, 4, 5).matmul(input(round, "w", Graph.Kind.DATA, 5, 6));
    round.output(sum.plus(product).value());
    List<Value> stacks =
        List.of(
            input(builder, "s", kind, 3, 4, 6).value(),
            input(builder, "x", Graph.Kind.DATA, 3, 4, 5).value(),
            input(builder, "w", Graph.Kind.DATA, 3, 5, 6).value());
    Repeat repeat = new Repeat(round.build(), 3, 0, 3, false);
    builder.output(builder.add(repeat, stacks).getFirst());
    Map<Node, Double> seconds = OpCosts.seconds(builder.build(), DEVICE);
    double made = CALL + 2 * 4 * 5 * 6 / 10.0;
    double copied = kind == Graph.Kind.DATA ? 3 * 24 * 4 / 100.0 : 0;
    assertEquals(made + copied, seconds.values().stream().mapToDouble(each -> each).sum(), 1e-12);
  }

  @Test
  void whatACollectiveSendsIsLaidDenseFirst() {
    Op sum = new AllReduce(Mesh.parse("data=2").axes(), Folding.SUM);
    Tensor turned = input("x", 4, 6).transpose(List.of(1, 0));
    double copied = CALL + 2 * 24 * 4 / 50.0;
    assertEquals(copied, total(Tensor.one(sum, turned), Tensor.one(sum, input("y", 6, 4))), 1e-12);
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
