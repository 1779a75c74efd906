package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.engine.program.Route;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.checkpoint.Safetensors;
import dev.weft.runtime.checkpoint.TensorData;
import dev.weft.runtime.run.RunDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A bf16 run goes on bit for bit, by the routes of kernels that it began with. */
class ResumedRoutesTest {
  private static final int STOP = 3;
  private static final int END = 6;

  @TempDir Path directory;
  private Path text;

  @BeforeEach
  void text() throws Exception {
    text = directory.resolve("text.txt");
    Files.writeString(text, "The cat sat on the mat, and the dog looked on. ".repeat(200));
  }

  private TrainConfig config() {
    ObjectNode changes = new ObjectMapper().createObjectNode();
    changes.put("steps", END).put("dtype", "bf16").put("threads", 1).put("save-every", STOP);
    // Products of enough operations per byte that there is a choice of routes.
    changes.put("layers", 1).put("hidden", 64).put("heads", 2);
    changes.put("sequence", 32).put("batch", 8).put("learning-rate", 0.01).put("warmup", 1);
    changes.putArray("data").add(text.toString());
    return TrainConfig.DEFAULT.with(changes, "the test");
  }

  private Path straight() {
    TrainConfig config = config();
    try (RunDirectory run = RunDirectory.create(directory, "straight", config.toTree());
        Trainer trainer = Trainer.open(config)) {
      trainer.train(run, new Silent());
      return run.path();
    }
  }

  /** The run as it would be if its process had been killed behind a checkpoint. */
  private Path broken(Path straight, String name) throws IOException {
    Path broken = directory.resolve(name);
    try (Stream<Path> files = Files.walk(straight)) {
      for (Path file : files.toList()) {
        if (!file.toString().contains("step-%08d".formatted(END))) {
          Files.copy(file, broken.resolve(straight.relativize(file).toString()));
        }
      }
    }
    return broken;
  }

  private void resume(Path path) {
    try (RunDirectory run = RunDirectory.resume(path);
        Trainer trainer = Trainer.resume(config(), run)) {
      trainer.train(run, new Silent());
    }
  }

  private record Silent() implements Progress {
    @Override
    public void logged(Logged step) {}

    @Override
    public void message(String message) {}
  }

  private static byte[] model(Path run) throws IOException {
    return Files.readAllBytes(
        run.resolve("checkpoints/step-%08d/model.safetensors".formatted(END)));
  }

  private static ObjectNode routes(Path run) {
    try (Checkpoint checkpoint = RunDirectory.read(run).checkpoints().latest().orElseThrow()) {
      return (ObjectNode) checkpoint.state().get("routes").deepCopy();
    }
  }

  /** The run's latest checkpoint once more, with other routes in it. */
  private static void changeRoutes(Path path, UnaryOperator<String> change) {
    try (RunDirectory run = RunDirectory.resume(path);
        Checkpoint checkpoint = run.checkpoints().latest().orElseThrow()) {
      ObjectNode state = checkpoint.state().deepCopy();
      ObjectNode routes = (ObjectNode) state.get("routes");
      List.copyOf(routes.properties())
          .forEach(entry -> routes.put(entry.getKey(), change.apply(entry.getValue().asText())));
      run.checkpoints(9)
          .save(
              new Checkpoint.Content(
                  checkpoint.step(),
                  tensors(checkpoint.model()),
                  tensors(checkpoint.optimizer()),
                  state));
    }
  }

  private static SequencedMap<String, TensorData> tensors(Safetensors file) {
    var tensors = new LinkedHashMap<String, TensorData>();
    file.types().keySet().forEach(name -> tensors.put(name, file.tensor(name)));
    return tensors;
  }

  private static String other(String route) {
    return Arrays.stream(Route.values())
        .map(Route::toString)
        .filter(r -> !r.equals(route))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void goesOnByItsOwnRoutes() throws Exception {
    Path straight = straight();
    assertFalse(routes(straight).isEmpty(), "there is a choice");
    Path broken = broken(straight, "broken");
    resume(broken);
    assertArrayEquals(model(straight), model(broken));

    // As if they came from another machine, where all measurements went the other way.
    Path foreign = broken(straight, "foreign");
    changeRoutes(foreign, ResumedRoutesTest::other);
    ObjectNode changed = routes(foreign);
    resume(foreign);
    assertEquals(changed, routes(foreign));
    assertFalse(Arrays.equals(model(straight), model(foreign)), "the routes made no difference");
    Path again = broken(straight, "again");
    changeRoutes(again, ResumedRoutesTest::other);
    resume(again);
    assertArrayEquals(model(foreign), model(again));

    Path unknown = broken(straight, "unknown");
    changeRoutes(unknown, _ -> "sideways");
    UserException e = assertThrows(UserException.class, () -> resume(unknown));
    assertTrue(e.getMessage().contains("'sideways'"), e.getMessage());
  }
}
