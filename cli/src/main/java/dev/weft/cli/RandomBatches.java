package dev.weft.cli;

import dev.weft.core.graph.TensorType;
import dev.weft.runtime.trainer.Session;
import dev.weft.runtime.trainer.TrainConfig;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Function;

/** Numbers for a model's inputs, other ones for every micro-batch. */
final class RandomBatches implements Session.BatchSource {
  private final Map<String, TensorType> data;
  private final int classes;
  private final SplittableRandom random;

  RandomBatches(TrainConfig config) {
    data = Session.spec(config).data();
    classes = config.dataClasses();
    random = new SplittableRandom(config.seed());
  }

  @Override
  public void load(int part, Function<String, MemorySegment> input) {
    data.forEach((name, type) -> fill(type, input.apply(name)));
  }

  private void fill(TensorType type, MemorySegment segment) {
    for (long i = 0; i < type.elements(); i++) {
      if (type.dtype().isFloat()) {
        segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
      } else {
        segment.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextInt(classes));
      }
    }
  }
}
