package dev.weft.examples;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.CrossEntropy;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.nn.layer.Layers;
import dev.weft.nn.model.Loss;
import dev.weft.nn.optimizer.Optimizer;
import dev.weft.runtime.trainer.Session;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.SplittableRandom;
import java.util.function.Function;

/** Tells the points of two interleaved spirals apart with a small multi-layer perceptron. */
public final class Spirals {
  private static final int BATCH = 128;

  private Spirals() {}

  public static void main(String[] arguments) {
    System.out.printf("loss per point %.4f, 0.6931 for guessing%n", train(600));
  }

  /** Trains for some steps and gives the mean loss over fresh points. */
  static double train(int steps) {
    var data = new LinkedHashMap<String, TensorType>();
    data.put("points", TensorType.of(DataType.F32, BATCH, 2));
    data.put("classes", TensorType.of(DataType.I64, BATCH));
    var optimizer = new Optimizer.AdamW(0.9, 0.99, 1e-8, 0.01);
    var random = new SplittableRandom(1);
    try (Session session =
        Session.open(
            new Session.Spec(
                (m, batch) -> {
                  Tensor x = batch.get("points");
                  for (String layer : new String[] {"first", "second"}) {
                    x = Layers.linear(m.at(layer), x, 64, Initializer.normal(0.5)).tanh();
                  }
                  Tensor logits = Layers.linear(m.at("head"), x, 2, Initializer.normal(0.1));
                  Tensor losses = Tensor.one(new CrossEntropy(-1), logits, batch.get("classes"));
                  return new Loss(losses.sum(), m.constant(DataType.F32, BATCH));
                },
                data,
                1,
                DataType.F32,
                optimizer,
                1,
                1,
                1,
                Bytes.parse("1GiB")))) {
      session.initialize();
      for (int step = 1; step <= steps; step++) {
        session.step(step, 5e-3, (_, input) -> points(random, input));
      }
      return session.evaluate(8, (_, input) -> points(random, input));
    }
  }

  private static void points(SplittableRandom random, Function<String, MemorySegment> input) {
    for (int i = 0; i < BATCH; i++) {
      double turn = 4 * random.nextDouble();
      double angle = turn + Math.PI * (i % 2);
      MemorySegment points = input.apply("points");
      points.setAtIndex(ValueLayout.JAVA_FLOAT, 2 * i, (float) (turn * Math.cos(angle)));
      points.setAtIndex(ValueLayout.JAVA_FLOAT, 2 * i + 1, (float) (turn * Math.sin(angle)));
      input.apply("classes").setAtIndex(ValueLayout.JAVA_LONG, i, i % 2);
    }
  }
}
