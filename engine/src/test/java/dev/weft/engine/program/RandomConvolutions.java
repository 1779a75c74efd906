package dev.weft.engine.program;

import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.AveragePool;
import dev.weft.core.op.Convolution;
import dev.weft.core.op.ConvolutionFilterGradient;
import dev.weft.core.op.ConvolutionInputGradient;
import dev.weft.core.op.Example;
import dev.weft.core.op.MaxPool;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import java.util.stream.Stream;

/** Convolutions and poolings of any geometry, and the gradients of the former. */
final class RandomConvolutions {
  private RandomConvolutions() {}

  static Stream<Example> examples(int count) {
    return LongStream.range(0, count).boxed().flatMap(seed -> of(new SplittableRandom(seed)));
  }

  private static Stream<Example> of(SplittableRandom random) {
    int dims = random.nextInt(1, 4);
    long groups = random.nextLong(1, 3);
    long perGroup = random.nextLong(1, 3);
    List<Long> strides = list(random, dims, 1, 4);
    List<Long> low = list(random, dims, -1, 4);
    List<Long> high = list(random, dims, -1, 4);
    List<Long> dilations = list(random, dims, 1, 3);
    List<Long> base = list(random, dims, 1, random.nextBoolean() ? 2 : 4);
    long[] x = sizes(random, random.nextLong(1, 3), groups * perGroup, dims, 3, 7);
    long[] filter = sizes(random, groups * random.nextLong(1, 3), perGroup, dims, 1, 4);
    var forward = new Convolution(strides, low, high, dilations, base);
    Example.Argument data = Example.f32(x);
    Example.Argument weights = Example.f32(filter);
    TensorType y = forward.infer(List.of(data.type(), weights.type())).getFirst();
    Example.Argument cotangent = Example.f32(y.shape().sizes());
    List<Long> window = list(random, dims, 1, 4);
    var pool = new MaxPool(window, strides, low, high, dilations);
    return Stream.of(
            Example.of(forward, data, weights),
            Example.of(
                new ConvolutionInputGradient(Shape.of(x), strides, low, dilations, base),
                cotangent,
                weights),
            Example.of(
                new ConvolutionFilterGradient(Shape.of(filter), strides, low, dilations, base),
                data,
                cotangent),
            Example.of(pool, data),
            Example.of(new AveragePool(window, strides, low, high), data))
        .filter(example -> example.op().infer(example.types()).getFirst().elements() > 0);
  }

  private static List<Long> list(SplittableRandom random, int dims, long least, long limit) {
    return random.longs(dims, least, limit).boxed().toList();
  }

  private static long[] sizes(
      SplittableRandom random, long first, long second, int dims, long least, long limit) {
    return LongStream.concat(LongStream.of(first, second), random.longs(dims, least, limit))
        .toArray();
  }
}
