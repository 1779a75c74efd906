package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Parameter;
import dev.weft.core.trace.Scope;
import dev.weft.nn.layer.Layers;
import dev.weft.nn.model.Loss;
import dev.weft.nn.model.Resnet;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.optimizer.Optimizer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A ResNet, and the normalisation over batches that it has. */
class ResnetTest {
  private static final int CLASSES = 3;
  private static final int CHANNELS = 2;
  private static final long[] SHAPE = {3, CHANNELS, 2, 2};

  private static StepGraphs graphs(StepGraphs.Model model, double rate, DataType dtype, long... x) {
    var data = new LinkedHashMap<String, TensorType>();
    data.put("images", TensorType.of(dtype == DataType.F64 ? DataType.F64 : DataType.F32, x));
    data.put("labels", TensorType.of(DataType.I64, x[0]));
    return StepGraphs.of(model, data, dtype, new Optimizer.SgdMomentum(rate, false, 0), 0);
  }

  private static StepGraphs resnet(int blocks, DataType dtype, long... images) {
    var resnet = new Resnet(2, blocks, CLASSES);
    return graphs(
        (m, batch) -> resnet.loss(m, given(batch, "images"), given(batch, "labels")),
        0,
        dtype,
        images);
  }

  private static Tensor given(Map<String, Tensor> batch, String name) {
    return Objects.requireNonNull(batch.get(name), name);
  }

  private static void batch(Tensors tensors, DataType dtype, long seed, long... images) {
    var random = new SplittableRandom(seed);
    TensorType type = TensorType.of(dtype, images);
    double[] values = random.doubles(type.elements()).map(x -> (float) (3 * x - 1)).toArray();
    tensors.put("images", Literal.of(type, values));
    long[] labels = random.longs(images[0], 0, CLASSES).toArray();
    tensors.whole("labels", new long[] {images[0]}, labels);
  }

  /** Gradients to accumulators, as a trainer that is at its first or a later micro-batch. */
  private static double micro(StepGraphs graphs, Tensors tensors, boolean first) {
    List<Literal> results = tensors.run(first ? graphs.micro() : graphs.microNext());
    for (int i = 0; i < graphs.parameters().size() && first; i++) {
      tensors.put(graphs.parameters().get(i).name() + ".sum", results.get(2 + i));
    }
    return results.getFirst().doubles()[0];
  }

  private static double end(StepGraphs graphs, Tensors tensors, int microBatches, double rate) {
    tensors.number("weight", 1);
    List<Literal> norm = tensors.run(graphs.norm());
    tensors.put("divisor", norm.get(1));
    tensors.number("learning_rate", rate);
    tensors.number("step", 1);
    tensors.number(StepGraphs.MICRO_BATCHES, microBatches);
    for (Parameter parameter : graphs.parameters()) {
      if (!parameter.averaged()) {
        tensors.zeros(parameter.name() + ".velocity", parameter.type());
      }
    }
    tensors.run(graphs.update());
    return norm.getFirst().doubles()[0];
  }

  @ParameterizedTest
  @CsvSource({"1, 4, 6", "2, 5, 3"})
  void gradientsAreThoseOfFiniteDifferences(int blocks, long height, long width) {
    long[] images = {2, 1, height, width};
    StepGraphs graphs = resnet(blocks, DataType.F64, images);
    var tensors = new Tensors();
    tensors.initialize(graphs.parameters());
    batch(tensors, DataType.F64, 4, images);
    tensors.checkGradients(graphs);
  }

  /** A batch norm for each layer of a repeat, then one that is applied twice. */
  private static Loss normalised(Scope m, Tensor images, Tensor labels) {
    Tensor x = m.repeat("h", 2, images, (scope, h) -> Layers.batchNorm(scope.at("norm"), h).tanh());
    x = Layers.batchNorm(m.at("twice"), x).tanh();
    x = Layers.batchNorm(m.at("twice"), x);
    return new Loss(x.times(x).times(x).sum(), Layers.count(labels, TokenModel.IGNORED));
  }

  private static StepGraphs normalised(DataType dtype) {
    return graphs(
        (m, batch) -> normalised(m, given(batch, "images"), given(batch, "labels")),
        0,
        dtype,
        SHAPE);
  }

  /** Per channel of [n, channels, spatial...]. */
  private record Statistics(double[] mean, double[] variance) {
    static Statistics of(double[] x, double elements) {
      double[] mean = new double[CHANNELS];
      double[] variance = new double[CHANNELS];
      int pixels = (int) (SHAPE[2] * SHAPE[3]);
      for (int i = 0; i < x.length; i++) {
        mean[i / pixels % CHANNELS] += x[i] / elements;
      }
      for (int i = 0; i < x.length; i++) {
        int channel = i / pixels % CHANNELS;
        variance[channel] += Math.pow(x[i] - mean[channel], 2) / (elements - 1);
      }
      return new Statistics(mean, variance);
    }
  }

  @Test
  void averagesMoveOnceToTheMeanOverMicroBatches() {
    StepGraphs graphs = normalised(DataType.F64);
    int microBatches = 3;
    var tensors = new Tensors();
    tensors.initialize(graphs.parameters());
    var before = new Tensors();
    graphs.parameters().forEach(p -> before.put(p.name(), tensors.get(p.name())));
    double[] scale = tensors.get("h.*.norm.weight").doubles();
    double[] shift = tensors.get("h.*.norm.bias").doubles();
    double[] mean = new double[2 * CHANNELS];
    double[] variance = new double[2 * CHANNELS];
    double elements = SHAPE[0] * SHAPE[2] * SHAPE[3];
    for (int part = 0; part < microBatches; part++) {
      batch(tensors, DataType.F64, 10 + part, SHAPE);
      micro(graphs, tensors, part == 0);
      double[] x = tensors.get("images").doubles().clone();
      for (int layer = 0; layer < 2; layer++) {
        Statistics seen = Statistics.of(x, elements);
        for (int channel = 0; channel < CHANNELS; channel++) {
          mean[layer * CHANNELS + channel] += seen.mean[channel] / microBatches;
          variance[layer * CHANNELS + channel] += seen.variance[channel] / microBatches;
        }
        int pixels = (int) (SHAPE[2] * SHAPE[3]);
        for (int i = 0; i < x.length; i++) {
          int channel = i / pixels % CHANNELS;
          double square = seen.variance[channel] * (elements - 1) / elements;
          double normal = (x[i] - seen.mean[channel]) / Math.sqrt(square + Layers.EPSILON);
          int place = layer * CHANNELS + channel;
          x[i] = Math.tanh(normal * scale[place] + shift[place]);
        }
      }
    }
    double norm = end(graphs, tensors, microBatches, 0.5);
    checkMoved(before, tensors, "h.*.norm.mean", mean);
    checkMoved(before, tensors, "h.*.norm.variance", variance);

    // Averages are no part of the gradient's norm, and have no slots.
    double squares = 0;
    for (Parameter parameter : graphs.parameters()) {
      if (!parameter.averaged()) {
        for (double x : tensors.get(parameter.name() + ".sum").doubles()) {
          squares += x * x;
        }
      }
    }
    assertEquals(Math.sqrt(squares), norm, 1e-5 * norm);
    assertTrue(graphs.update().input("h.*.norm.mean.velocity").isEmpty());
    assertTrue(graphs.update().input("h.*.norm.weight.velocity").isPresent());
  }

  private static void checkMoved(Tensors before, Tensors after, String name, double[] seen) {
    double[] expected = before.get(name).doubles().clone();
    for (int i = 0; i < expected.length; i++) {
      expected[i] = 0.9 * expected[i] + 0.1 * seen[i];
    }
    assertArrayEquals(expected, after.get(name).doubles(), 1e-7, name);
  }

  /** Where a layer is applied twice its averages end in the middle of what both see. */
  @Test
  void averagesOfALayerThatIsAppliedTwiceEndBetweenBoth() {
    StepGraphs graphs = normalised(DataType.F64);
    var tensors = new Tensors();
    tensors.initialize(graphs.parameters());
    batch(tensors, DataType.F64, 3, SHAPE);
    micro(graphs, tensors, true);
    double[] start = tensors.get("twice.mean").doubles();
    double[] gradient = tensors.get("twice.mean.sum").doubles().clone();
    double[] middle = new double[CHANNELS];
    for (int channel = 0; channel < CHANNELS; channel++) {
      middle[channel] = start[channel] - gradient[channel] / 2;
    }
    tensors.put("twice.mean", Literal.of(tensors.get("twice.mean").type(), middle));
    micro(graphs, tensors, true);
    assertArrayEquals(new double[CHANNELS], tensors.get("twice.mean.sum").doubles(), 1e-12);
  }

  @Test
  void evaluationReadsTheAveragesAlone() {
    StepGraphs graphs =
        graphs(
            (m, batch) -> {
              Tensor y = Layers.batchNorm(m.at("norm"), given(batch, "images"));
              return new Loss(y.times(y).sum(), m.constant(DataType.F32, 1));
            },
            0,
            DataType.F64,
            SHAPE);
    var tensors = new Tensors();
    tensors.initialize(graphs.parameters());
    batch(tensors, DataType.F64, 6, SHAPE);
    double expected = 0;
    double[] x = tensors.get("images").doubles();
    for (int i = 0; i < x.length; i++) {
      int channel = i / 4 % CHANNELS;
      double inverse =
          1 / Math.sqrt(tensors.get("norm.variance").doubles()[channel] + Layers.EPSILON);
      double normal = (x[i] - tensors.get("norm.mean").doubles()[channel]) * inverse;
      double y =
          normal * tensors.get("norm.weight").doubles()[channel]
              + tensors.get("norm.bias").doubles()[channel];
      expected += y * y;
    }
    assertEquals(expected, tensors.run(graphs.evaluate()).getFirst().doubles()[0], 1e-9);
  }

  @ParameterizedTest
  @CsvSource({"F32", "BF16"})
  void trainingLearnsABatch(DataType dtype) {
    long[] images = {6, 1, 8, 8};
    StepGraphs graphs = resnet(1, dtype, images);
    var tensors = new Tensors();
    for (Parameter parameter : graphs.parameters()) {
      tensors.put(parameter.name(), Literal.of(parameter.type(), Tensors.initial(parameter, 3)));
    }
    batch(tensors, DataType.F32, 8, images);
    double first = 0;
    double last = 0;
    for (int step = 0; step < 40; step++) {
      last = micro(graphs, tensors, true);
      first = step == 0 ? last : first;
      end(graphs, tensors, 1, 0.02);
    }
    assertTrue(last < 0.3 * first, first + " became " + last);
    // What the averages have come to tells this batch as training does.
    double evaluated = tensors.run(graphs.evaluate()).getFirst().doubles()[0];
    assertEquals(last, evaluated, 0.25 * first);
    assertEquals(List.of(Resnet.ACCURACY), graphs.measures());
    assertTrue(tensors.run(graphs.evaluate()).get(2).doubles()[0] >= 4);
  }

  @Test
  void picturesThatDoNotCountAreNeitherLossNorRight() {
    long[] images = {3, 1, 4, 4};
    StepGraphs graphs = resnet(1, DataType.F64, images);
    var tensors = new Tensors();
    tensors.initialize(graphs.parameters());
    batch(tensors, DataType.F64, 8, images);
    double loss = 0;
    double right = 0;
    for (int picture = 0; picture < 3; picture++) {
      long[] labels = {TokenModel.IGNORED, TokenModel.IGNORED, TokenModel.IGNORED};
      labels[picture] = 1;
      tensors.whole("labels", new long[] {3}, labels);
      List<Literal> found = tensors.run(graphs.evaluate());
      loss += found.get(0).doubles()[0];
      assertEquals(1, found.get(1).doubles()[0]);
      right += found.get(2).doubles()[0];
    }
    tensors.whole("labels", new long[] {3}, 1, 1, 1);
    List<Literal> all = tensors.run(graphs.evaluate());
    assertEquals(loss, all.get(0).doubles()[0], 1e-9);
    assertEquals(right, all.get(2).doubles()[0]);
  }
}
