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
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Gelu;
import dev.weft.core.op.GeluGradient;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

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

  /** A product of 4 times 5 and 5 times 6 elements, and a copy, a sum and exp of what it makes. */
  private static final double MADE = CALL + 2 * 4 * 5 * 6 / 10.0;

  private static final double COPIED = 3 * 24 * 4 / 100.0;
  private static final double ADDED = CALL + COPIED;
  private static final double EXP = CALL + 2 * 24 * 4 / 100.0;
  private static final Op SUM = new AllReduce(Mesh.parse("data=2").axes(), Folding.SUM);

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
    assertEquals(MADE + COPIED, total(product.plus(input("y", 4, 6))), 1e-12);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aProductIsMadeOntoWhatIsDonated(boolean donated) {
    Tensor product = input("x", 4, 5).matmul(input("w", 5, 6));
    Tensor sum = input(builder, "s", Graph.Kind.ACCUMULATOR, 4, 6);
    builder.output(product.plus(sum).value(), donated ? sum.value() : null);
    assertEquals(MADE + (donated ? 0 : COPIED), total(), 1e-12);
  }

  @Test
  void aProductIsMadeOntoWhatOnlyItsSumReads() {
    Tensor kept = input("s", 4, 6).exp();
    Tensor product = input("x", 4, 5).matmul(input("w", 5, 6));
    assertEquals(EXP + MADE, total(product.plus(kept)), 1e-12);
  }

  @Test
  void whatLiesTurnedIsCopiedBeforeAProductIsMadeOntoIt() {
    Tensor turned = input("s", 6, 4).exp().transpose(List.of(1, 0));
    Tensor product = input("x", 4, 5).matmul(input("w", 5, 6));
    assertEquals(EXP + MADE + COPIED, total(product.plus(turned)), 1e-12);
  }

  @Test
  void whatAProductReadsItselfIsCopiedBeforeItIsMadeOntoIt() {
    Tensor x = input("x", 4, 6).exp();
    double made = CALL + 2 * 4 * 6 * 6 / 10.0;
    assertEquals(EXP + made + COPIED, total(x.plus(x.matmul(input("w", 6, 6)))), 1e-12);
  }

  /** A product begins before that is there. */
  @Test
  void toWhatOthersSendAProductIsAddedByItself() {
    Tensor sent = Tensor.one(SUM, input("s", 4, 6));
    Tensor product = input("x", 4, 5).matmul(input("w", 5, 6));
    assertEquals(MADE + ADDED, total(sent.plus(product)), 1e-12);
  }

  /** Rounds that add a product to what they get, and return it so many times. */
  private static Graph round(int results) {
    var round = new Builder("round");
    round.input("round", TensorType.scalar(DataType.I64), Graph.Kind.DATA);
    Tensor sum = input(round, "s", Graph.Kind.DATA, 4, 6);
    Tensor product =
        input(round, "x", Graph.Kind.DATA, 4, 5).matmul(input(round, "w", Graph.Kind.DATA, 5, 6));
    Value added = sum.plus(product).value();
    for (int i = 0; i < results; i++) {
      round.output(added);
    }
    return round.build();
  }

  private List<Value> arguments(Tensor sum) {
    return List.of(sum.value(), input("x", 3, 4, 5).value(), input("w", 3, 5, 6).value());
  }

  /** Gradients of a stack: every round adds a product to its part of the sum. */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void roundsMakeProductsOntoPartsOfWhatIsDonated(boolean donated) {
    Tensor sum = input(builder, "s", Graph.Kind.ACCUMULATOR, 3, 4, 6);
    Repeat repeat = new Repeat(round(1), 3, 0, 3, false);
    Value added = builder.add(repeat, arguments(sum)).getFirst();
    builder.output(added, donated ? sum.value() : null);
    assertEquals(MADE + (donated ? 0 : COPIED), total(), 1e-12);
  }

  /** A round may read of the other stack what one has written to the first. */
  @Test
  void partsOfAStackThatIsGivenTwiceAreCopied() {
    var round = new Builder("round");
    round.input("round", TensorType.scalar(DataType.I64), Graph.Kind.DATA);
    Tensor sum = input(round, "s", Graph.Kind.DATA, 4, 6);
    Tensor again = input(round, "t", Graph.Kind.DATA, 4, 6);
    Tensor product =
        input(round, "x", Graph.Kind.DATA, 4, 5).matmul(input(round, "w", Graph.Kind.DATA, 5, 6));
    round.output(sum.plus(product).value());
    round.output(again.exp().value());
    Tensor stack = input(builder, "s", Graph.Kind.ACCUMULATOR, 3, 4, 6);
    List<Value> arguments = new ArrayList<>(arguments(stack));
    arguments.add(1, stack.value());
    List<Value> made = builder.add(new Repeat(round.build(), 3, 0, 4, false), arguments);
    builder.output(made.getFirst(), stack.value());
    builder.output(made.getLast());
    assertEquals(MADE + COPIED + EXP, total(), 1e-12);
  }

  /** What goes to the next round is written over there, unless a stack keeps it. */
  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void whatRoundsHandOnIsWrittenOverUnlessItIsKept(int results) {
    Repeat repeat = new Repeat(round(results), 3, 1, 2, false);
    builder.add(repeat, arguments(input("s", 4, 6))).forEach(builder::output);
    assertEquals(MADE + (results == 1 ? 0 : COPIED), total(), 1e-12);
  }

  /** The stack is there as a whole before something is added to it. */
  @Test
  void aStackOfProductsIsAddedByItself() {
    var round = new Builder("round");
    round.input("round", TensorType.scalar(DataType.I64), Graph.Kind.DATA);
    round.output(
        input(round, "x", Graph.Kind.DATA, 4, 5)
            .matmul(input(round, "w", Graph.Kind.DATA, 5, 6))
            .value());
    Tensor sum = input(builder, "s", Graph.Kind.ACCUMULATOR, 3, 4, 6);
    Repeat repeat = new Repeat(round.build(), 3, 0, 2, false);
    Value stack = builder.add(repeat, arguments(sum).subList(1, 3)).getFirst();
    builder.output(sum.plus(new Tensor(builder, stack)).value(), sum.value());
    assertEquals(MADE + CALL + 3 * 3 * 24 * 4 / 100.0, total(), 1e-12);
  }

  /** In whatever order: the first may write over its stack, the second may not. */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void roundsInCommonTakeWhatTheyTakeInTheSlowest(boolean donatedFirst) {
    Graph body = round(1);
    for (boolean donated : List.of(donatedFirst, !donatedFirst)) {
      Tensor sum = input(builder, "s" + donated, Graph.Kind.ACCUMULATOR, 3, 4, 6);
      Value x = input("x" + donated, 3, 4, 5).value();
      Value w = input("w" + donated, 3, 5, 6).value();
      Repeat repeat = new Repeat(body, 3, 0, 3, false);
      Value added = builder.add(repeat, List.of(sum.value(), x, w)).getFirst();
      builder.output(added, donated ? sum.value() : null);
    }
    assertEquals(MADE + COPIED, total(), 1e-12);
  }

  @Test
  void whatACollectiveSendsIsLaidDenseFirst() {
    Tensor turned = input("x", 4, 6).transpose(List.of(1, 0));
    double copied = CALL + 2 * 24 * 4 / 50.0;
    assertEquals(copied, total(Tensor.one(SUM, turned), Tensor.one(SUM, input("y", 6, 4))), 1e-12);
  }

  @Test
  void aBiasIsWrittenToEveryRowFirst() {
    Tensor product = input("x", 4, 5).matmul(input("w", 5, 6));
    Tensor bias = input("b", 6).broadcast(product.shape(), List.of(1));
    assertEquals(MADE + (2 * 24 + 6) * 4 / 100.0, total(product.plus(bias)), 1e-12);
  }

  @Test
  void aProductThatIsReadTwiceIsAddedByItself() {
    Tensor product = input("x", 4, 5).matmul(input("w", 5, 6));
    assertEquals(MADE + ADDED, total(product.plus(input("y", 4, 6)), product), 1e-12);
  }

  @Test
  void transcendentalOpsTakeWhatTheirElementsTake() {
    Tensor x = input("x", 100);
    double forward = CALL + 800 / 100.0;
    Tensor gradient = Tensor.one(new GeluGradient(Gelu.Form.TANH), input("g", 100), x);
    assertEquals(2 * forward, total(x.gelu(Gelu.Form.TANH), gradient), 1e-12);
  }
}
