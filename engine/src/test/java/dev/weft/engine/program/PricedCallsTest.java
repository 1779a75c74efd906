package dev.weft.engine.program;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import dev.weft.core.simulate.OpCosts;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The simulator counts the calls that a device makes. */
final class PricedCallsTest {
  private static final int SIZE = 6;
  private static final int ROUNDS = 3;

  /** Where a call takes a second and what it does nothing, a graph takes as many as it has. */
  private static final DeviceProfile CALLS =
      new DeviceProfile(Bytes.of(1 << 20), Map.of("f32", 1e30), 1e30, 1, Map.of());

  static IntStream seeds() {
    return IntStream.range(0, 60);
  }

  @ParameterizedTest
  @MethodSource("seeds")
  void aGraphTakesAsLongAsItHasCalls(int seed) {
    Graph graph = graph(new Random(seed));
    Lowered lowered = Lowered.of(graph, DeviceKind.CPU);
    double priced = priced(lowered.graph(), OpCosts.seconds(lowered.graph(), CALLS));
    try (Device device = Device.open(DeviceKind.CPU, 1, Bytes.parse("16MiB"))) {
      Map<Value, DeviceBuffer> bound = new HashMap<>();
      for (Value input : graph.inputValues()) {
        bound.put(input, device.allocate(input.name(), input.type()));
      }
      assertEquals(device.load(graph, bound).calls(), priced, 1e-6, graph::toString);
    }
  }

  private static double priced(Graph graph, Map<Node, Double> seconds) {
    double sum = 0;
    for (Node node : graph.nodes()) {
      sum +=
          node.op() instanceof Repeat repeat
              ? repeat.count() * priced(repeat.body(), seconds)
              : seconds.getOrDefault(node, 0.0);
    }
    return sum;
  }

  /** Products, sums, views and rounds of matrices; what is returned is nobody's view. */
  private static Graph graph(Random random) {
    var builder = new Builder("g");
    Tensor sum = input(builder, "s", Graph.Kind.ACCUMULATOR, SIZE, SIZE);
    var values = new ArrayList<Tensor>();
    values.add(input(builder, "x", Graph.Kind.DATA, SIZE, SIZE));
    values.add(input(builder, "w", Graph.Kind.PARAMETER, SIZE, SIZE));
    grow(values, 5, random);
    if (random.nextBoolean()) {
      var round = new Builder("round");
      round.input("round", TensorType.scalar(DataType.I64), Graph.Kind.DATA);
      Tensor carried = input(round, "c", Graph.Kind.DATA, SIZE, SIZE);
      var inside = new ArrayList<Tensor>();
      inside.add(carried);
      inside.add(input(round, "p", Graph.Kind.DATA, SIZE, SIZE));
      inside.add(input(round, "u", Graph.Kind.DATA, SIZE, SIZE));
      grow(inside, 4, random);
      round.output(inside.getLast().matmul(inside.get(2)).exp().plus(carried).value());
      Tensor stack = input(builder, "stack", Graph.Kind.DATA, ROUNDS, SIZE, SIZE);
      Repeat repeat = new Repeat(round.build(), ROUNDS, 1, 1, random.nextBoolean());
      // A product that rounds begin with is made by the first sum with it: of one round, not of
      // all.
      List<Value> arguments =
          List.of(values.getLast().exp().value(), stack.value(), values.getFirst().value());
      values.add(new Tensor(builder, builder.add(repeat, arguments).getFirst()));
      grow(values, 4, random);
    }
    Tensor last = values.getLast();
    builder.output(last.exp().value());
    builder.output(sum.plus(last.matmul(values.get(1))).value(), sum.value());
    return builder.build();
  }

  private static void grow(List<Tensor> values, int count, Random random) {
    for (int i = 0; i < count; i++) {
      Tensor a = values.get(random.nextInt(values.size()));
      Tensor b = values.get(random.nextInt(values.size()));
      values.add(
          switch (random.nextInt(5)) {
            case 0 -> a.transpose(List.of(1, 0));
            case 1 -> a.plus(b);
            case 2 -> a.exp();
            case 3 -> a.matmul(b).plus(values.getLast());
            default -> a.matmul(b);
          });
    }
  }

  private static Tensor input(Builder builder, String name, Graph.Kind kind, long... sizes) {
    return new Tensor(builder, builder.input(name, TensorType.of(DataType.F32, sizes), kind));
  }
}
