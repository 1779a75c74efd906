package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.TensorType;
import dev.weft.runtime.machine.Machine;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.function.Function;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;
import net.jqwik.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What each device holds at most is known before anything is allocated. */
class PredictedMemoryTest {
  private static final double TOLERANCE = 0.03;

  private static final List<String> MODELS = List.of("gpt", "mlp", "moe", "resnet", "unet");

  private static final List<String> SCHEDULES =
      List.of("gpipe", "1f1b", "eager-1f1b", "shifted", "interleaved", "zero-bubble");

  private static final Map<String, String> SPLITS =
      Map.of("gpt", "model=2", "moe", "expert=2", "resnet", "space=2", "unet", "space=2");

  @Property(tries = 10, shrinking = ShrinkingMode.OFF)
  void isWhatIsMeasured(@ForAll long seed) {
    check(random(new Random(seed)));
  }

  @Tag("nightly")
  @Property(tries = 300, shrinking = ShrinkingMode.OFF)
  void isWhatIsMeasuredWhateverTheSetting(@ForAll long seed) {
    check(random(new Random(seed)));
  }

  /** With so much memory it trains, and with less it is refused. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "gpt | dtype:bf16",
        "gpt | stages:2 micro-batches:4 cut:h.2 recompute:full",
        "moe | mesh:data=2 zero:2 micro-batches:2",
        "resnet | mesh:space=2",
      })
  void isEnough(String model, String changes) {
    long needed;
    int devices;
    try (Session session = Session.open(config(model, changes))) {
      needed = session.predictedPeak().count();
      devices = session.memoryUse().size();
    }
    check(config(model, changes + " device-memory:" + devices * needed + "B"));
    TrainConfig less = config(model, changes + " device-memory:" + devices * (needed - 1) + "B");
    UserException mistake = assertThrows(UserException.class, () -> Session.open(less));
    assertTrue(mistake.getMessage().contains(" does not fit: "), mistake.getMessage());
    assertTrue(mistake.getMessage().contains(", 1 B too much"), mistake.getMessage());
  }

  /** Before there are devices the same is foretold. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "gpt | micro-batches:8",
        "mlp | mesh:data=2 zero:3 micro-batches:4",
        "gpt | stages:2 mesh:model=2 micro-batches:4 recompute:full",
      })
  void isForetoldWithoutDevices(String model, String changes) {
    TrainConfig config = config(model, changes);
    long[] foretold = CompiledStep.foretold(config, Machine.rememberedRoutes()).needed();
    try (Session session = Session.open(config)) {
      for (Session.MemoryUse use : session.memoryUse()) {
        assertEquals(1, use.predicted().count() / (double) foretold[use.stage()], TOLERANCE);
      }
    }
  }

  private static void check(TrainConfig config) {
    var data = Session.spec(config).data();
    String setting = config.toTree().toString();
    try (Session session = Session.open(config)) {
      session.initialize();
      Session.BatchSource source = (_, input) -> fill(data, input);
      session.step(1, 1e-3, source);
      session.step(2, 1e-3, source);
      session.evaluate(1, source);
      for (Session.MemoryUse use : session.memoryUse()) {
        double predicted = use.predicted().count();
        double measured = use.peak().count();
        assertEquals(1, predicted / measured, TOLERANCE, use + " " + setting);
        assertTrue(measured <= predicted, "a budget of what is predicted is enough: " + setting);
      }
    }
  }

  private static TrainConfig random(Random random) {
    String model = any(MODELS, random);
    boolean isMlp = model.equals("mlp");
    int stages = random.nextInt(3) == 0 ? 1 : random.nextInt(3) == 0 && !isMlp ? 4 : 2;
    int microBatches = 1 << random.nextInt(4);
    var changes = new StringBuilder("micro-batches:" + microBatches);
    changes.append(" dtype:").append(any(List.of("f32", "f32", "bf16", "f64"), random));
    if (stages > 1) {
      String schedule = any(SCHEDULES, random);
      boolean cannot = schedule.equals("interleaved") && (isMlp || microBatches % stages > 0);
      boolean tooFew = schedule.equals("shifted") && microBatches < 4;
      changes.append(" stages:").append(stages);
      changes.append(" schedule:").append(cannot || tooFew ? "gpipe" : schedule);
    }
    boolean recomputes = random.nextBoolean();
    if (recomputes) {
      String how = any(List.of("full", "fraction=0.5", "stage-aware=0.6", "auto"), random);
      changes.append(" recompute:").append(how);
    }
    if (stages < 4 && random.nextBoolean()) {
      String split = random.nextBoolean() ? SPLITS.get(model) : null;
      if (split == null) {
        changes.append(" mesh:data=2 zero:").append(random.nextInt(4));
      } else {
        changes.append(" mesh:").append(split);
      }
      if (stages == 1 && !recomputes && model.equals("gpt") && microBatches < 8) {
        changes.append(" sub-pipeline:").append(random.nextInt(4));
      }
    }
    return config(model, changes.toString());
  }

  private static String any(List<String> from, Random random) {
    return from.get(random.nextInt(from.size()));
  }

  private static void fill(Map<String, TensorType> data, Function<String, MemorySegment> input) {
    data.forEach(
        (name, type) -> {
          MemorySegment segment = Objects.requireNonNull(input.apply(name));
          for (long i = 0; i < type.elements(); i++) {
            if (type.dtype().isFloat()) {
              segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) Math.sin(i));
            } else {
              segment.setAtIndex(ValueLayout.JAVA_LONG, i, i % 3);
            }
          }
        });
  }

  private static TrainConfig config(String model, String changes) {
    ObjectNode tree = new ObjectMapper().createObjectNode();
    tree.put("model", model).put("steps", 2).put("threads", 2).put("batch", 16).put("layers", 4);
    switch (model) {
      case "unet" -> tree.put("layers", 2).put("hidden", 8).put("image", 16);
      case "resnet" -> tree.put("layers", 1).put("hidden", 8).put("image", 16);
      case "mlp" -> tree.put("hidden", 48);
      default -> {
        tree.put("hidden", 32).put("heads", 2).put("sequence", 16).put("vocabulary", 67);
        tree.put("dropout", 0.1);
      }
    }
    TrainConfig config = TrainConfig.defaultsOf(model).with(tree, "the test");
    ObjectNode more = new ObjectMapper().createObjectNode();
    for (String change : changes.strip().split(" +")) {
      String[] sides = change.split(":");
      if (sides[1].matches("[0-9]+")) {
        more.put(sides[0], Integer.parseInt(sides[1]));
      } else {
        more.put(sides[0], sides[1]);
      }
    }
    return config.with(more, "the test");
  }
}
