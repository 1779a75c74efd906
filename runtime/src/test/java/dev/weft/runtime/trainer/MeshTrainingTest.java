package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.graph.DataType;
import dev.weft.runtime.checkpoint.TensorData;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.SequencedMap;
import java.util.function.Function;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Training on a mesh comes to what training on one device comes to. */
class MeshTrainingTest {
  private static final int STEPS = 4;

  /** Losses by step, and the parameters at the end. */
  private record Outcome(double[] losses, Map<String, double[]> parameters) {}

  @ParameterizedTest(name = "{0} on {1}, ZeRO {2}, {3} micro-batches")
  @CsvSource(
      delimiter = '|',
      value = {
        "gpt | data=2,model=2 | 0 | 2",
        "gpt | data=2,model=2 | 3 | 3",
        "moe | expert=2 | 0 | 1",
        "unet | data=2,space=2 | 0 | 1",
      })
  void equalsOneDevice(String model, String mesh, int zero, int microBatches) {
    check(model, mesh, zero, microBatches);
  }

  @Tag("nightly")
  @ParameterizedTest(name = "{0} on {1}, ZeRO {2}, {3} micro-batches")
  @CsvSource(
      delimiter = '|',
      value = {
        "gpt | data=2 | 0 | 1",
        "gpt | model=2 | 0 | 2",
        "gpt | data=4 | 1 | 1",
        "gpt | data=2 | 2 | 4",
        "moe | data=2,expert=2 | 2 | 1",
        "unet | space=3 | 0 | 2",
      })
  void equalsOneDeviceElsewhereToo(String model, String mesh, int zero, int microBatches) {
    check(model, mesh, zero, microBatches);
  }

  private static void check(String model, String mesh, int zero, int microBatches) {
    Outcome alone = train(config(model, microBatches), false);
    TrainConfig together = config(model, microBatches);
    ObjectNode changes = new ObjectMapper().createObjectNode();
    changes.put("mesh", mesh).put("zero", zero);
    together = together.with(changes, "the test");
    Outcome first = train(together, true);
    for (int step = 0; step < STEPS; step++) {
      assertEquals(
          alone.losses[step], first.losses[step], 1e-4 * alone.losses[step], "loss of " + step);
    }
    alone.parameters.forEach(
        (name, expected) -> {
          // The exact gradient of a key's bias is zero: Adam makes steps of what rounding leaves.
          if (!name.endsWith("qkv.bias")) {
            double[] found = first.parameters.get(name);
            double norm = 0;
            double difference = 0;
            for (int i = 0; i < expected.length; i++) {
              norm += expected[i] * expected[i];
              difference += (expected[i] - found[i]) * (expected[i] - found[i]);
            }
            assertTrue(
                Math.sqrt(difference) <= 1e-4 * Math.max(1e-3, Math.sqrt(norm)),
                name + " differs by " + Math.sqrt(difference) + " of " + Math.sqrt(norm));
          }
        });
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {"gpt | data=2,model=2"})
  void twiceTheSameIsTheSame(String model, String mesh) {
    ObjectNode changes = new ObjectMapper().createObjectNode();
    changes.put("mesh", mesh);
    TrainConfig config = config(model, 2).with(changes, "the test");
    Outcome first = train(config, true);
    Outcome second = train(config, true);
    for (int step = 0; step < STEPS; step++) {
      assertEquals(first.losses[step], second.losses[step], 0);
    }
    first.parameters.forEach(
        (name, values) -> assertArrayEquals(values, second.parameters.get(name), name));
  }

  private static TrainConfig config(String model, int microBatches) {
    ObjectNode changes = new ObjectMapper().createObjectNode();
    changes.put("model", model).put("steps", STEPS).put("threads", 2);
    changes.put("batch", 12).put("micro-batches", microBatches).put("clip", 0.5);
    if (model.equals("unet")) {
      // A bias before a norm has no gradient but rounding, which Adam would make whole steps of;
      // and in f32 rounding decides which side of a relu some pixels fall.
      changes
          .put("layers", 2)
          .put("hidden", 4)
          .put("image", 24)
          .put("optimizer", "sgd")
          .put("dtype", "f64");
    } else {
      changes.put("layers", 2).put("hidden", 24).put("heads", 4).put("sequence", 12);
      changes.put("vocabulary", 37).put("dropout", model.equals("gpt") ? 0.1 : 0);
    }
    if (model.equals("moe")) {
      // Rounding must not flip a route.
      changes.put("dtype", "f64").put("experts", 4);
    }
    return TrainConfig.defaultsOf(model).with(changes, "the test");
  }

  private static Outcome train(TrainConfig config, boolean together) {
    try (Learner learner =
        together ? MeshSession.open(config, Map.of()) : Session.open(config, Map.of())) {
      learner.initialize();
      double[] losses = new double[STEPS];
      var random = new Random(3);
      for (int step = 0; step < STEPS; step++) {
        losses[step] =
            learner.step(step + 1, 1e-2, (_, input) -> fill(config, random, input)).loss();
      }
      var parameters = new LinkedHashMap<String, double[]>();
      SequencedMap<String, TensorData> model = learner.model();
      model.forEach((name, tensor) -> parameters.put(name, numbers(tensor)));
      return new Outcome(losses, parameters);
    }
  }

  private static void fill(
      TrainConfig config, Random random, Function<String, MemorySegment> input) {
    if (config.model().equals("unet")) {
      MemorySegment images = input.apply("images");
      for (long at = 0; at < images.byteSize(); at += 4) {
        images.set(ValueLayout.JAVA_FLOAT, at, (float) random.nextGaussian());
      }
      whole(input.apply("labels"), random, 2);
    } else {
      whole(input.apply("tokens"), random, config.vocabulary());
      whole(input.apply("targets"), random, config.vocabulary());
    }
  }

  private static void whole(MemorySegment segment, Random random, int bound) {
    for (long at = 0; at < segment.byteSize(); at += 8) {
      segment.set(ValueLayout.JAVA_LONG, at, random.nextInt(bound));
    }
  }

  private static double[] numbers(TensorData tensor) {
    int size = (int) tensor.type().elements();
    double[] values = new double[size];
    for (int i = 0; i < size; i++) {
      values[i] =
          tensor.type().dtype() == DataType.F64
              ? tensor.data().getAtIndex(ValueLayout.JAVA_DOUBLE, i)
              : tensor.data().getAtIndex(ValueLayout.JAVA_FLOAT, i);
    }
    return values;
  }
}
