package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.runtime.run.RunDirectory;
import dev.weft.runtime.trainer.TrainConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class TrainCommandTest {
  private static final List<String> SMALL =
      List.of(
          "--layers",
          "1",
          "--hidden",
          "16",
          "--heads",
          "2",
          "--sequence",
          "16",
          "--batch",
          "64",
          "--threads",
          "1");

  @TempDir Path folder;
  private Path text;

  @BeforeEach
  void text() throws IOException {
    text = folder.resolve("text.txt");
    Files.writeString(text, "The cat sat on the mat, and the dog looked on. ".repeat(200));
  }

  private static ObjectNode changes() {
    return new ObjectMapper().createObjectNode();
  }

  private TrainConfig small() {
    ObjectNode changes = changes();
    for (int i = 0; i < SMALL.size(); i += 2) {
      changes.put(SMALL.get(i).substring(2), Integer.parseInt(SMALL.get(i + 1)));
    }
    changes.putArray("data").add(text.toString());
    return TrainConfig.DEFAULT.with(changes, "the test");
  }

  /** A short training of a small model on the text. */
  private String[] train(String... more) {
    var arguments = new ArrayList<>(List.of("train", "--data", text.toString()));
    arguments.addAll(SMALL);
    arguments.addAll(List.of(more));
    return arguments.toArray(String[]::new);
  }

  private List<Long> loggedSteps(String run) throws IOException {
    var steps = new ArrayList<Long>();
    for (String line : Files.readAllLines(folder.resolve(run, "metrics.jsonl"))) {
      steps.add(new ObjectMapper().readTree(line).get("step").asLong());
    }
    return steps;
  }

  private TrainConfig configuration(String run) {
    return TrainConfig.of(RunDirectory.read(folder.resolve(run)));
  }

  @Test
  void interruptedItSavesAndGoesOn() throws Exception {
    var stopped =
        WeftProcess.start(folder, train("--steps", "1000000", "--log-every", "100"))
            .await("step 100/")
            .interrupt()
            .end();
    assertEquals(Main.INTERRUPTED, stopped.code(), stopped.output());
    assertTrue(stopped.output().contains("./weft train --resume runs/gpt"), stopped.output());
    List<Long> steps = loggedSteps("runs/gpt");
    long last = steps.getLast();
    assertTrue(stopped.output().contains("stopped after step " + last + ","), stopped.output());
    TrainConfig config = configuration("runs/gpt");
    assertEquals(List.of(text.toString()), config.data());

    String more = Long.toString(last + 3);
    Path run = folder.resolve("runs/gpt");
    var finished = WeftProcess.runHere("train", "--resume", run, "--steps", more);
    assertEquals(0, finished.code(), finished.output());
    assertEquals(last + 3, configuration("runs/gpt").steps());
    steps.add(last + 3);
    assertEquals(steps, loggedSteps("runs/gpt"));

    var fewer = WeftProcess.runHere("train", "--resume", run, "--steps", "5");
    assertEquals(Main.USER_MISTAKE, fewer.code(), fewer.output());
    assertTrue(fewer.output().contains("has done " + more + " steps"), fewer.output());
    assertEquals(last + 3, configuration("runs/gpt").steps());
    var wider = WeftProcess.runHere("train", "--resume", run, "--hidden", "32");
    assertEquals(Main.USER_MISTAKE, wider.code(), wider.output());
    assertTrue(wider.output().contains("hidden 16"), wider.output());
  }

  /** A run goes on over other devices than it began on, and learns what it would have. */
  @Test
  void goesOnWithOtherStages() throws Exception {
    ObjectNode two = changes().put("steps", 2).put("layers", 3).put("micro-batches", 4);
    Path run =
        Trainings.train(
            folder.resolve("runs"),
            "gpt",
            small().with(two.put("stages", 3), "the test").resolved());
    assertTrue(configuration("runs/gpt").cut().contains(","));
    ObjectNode straight = two.deepCopy().put("steps", 4).put("stages", 1);
    Path alone =
        Trainings.train(
            folder.resolve("runs"), "alone", small().with(straight, "the test").resolved());

    var fewer = WeftProcess.runHere("train", "--resume", run, "--steps", 3, "--stages", 2);
    assertEquals(0, fewer.code(), fewer.output());
    assertTrue(fewer.output().contains("note: goes on with stages 2 instead of 3"));
    assertFalse(configuration("runs/gpt").cut().contains(","), configuration("runs/gpt").cut());
    var one = WeftProcess.runHere("train", "--resume", run, "--steps", 4, "--stages", 1);
    assertEquals(0, one.code(), one.output());
    assertEquals("", configuration("runs/gpt").cut());
    double loss = Trainings.summary(alone).get("validation_loss_per_byte").asDouble();
    assertTrue(loss > 0);
    assertEquals(loss, Trainings.summary(run).get("validation_loss_per_byte").asDouble(), 1e-3);

    var many = WeftProcess.runHere("train", "--resume", run, "--steps", 5, "--stages", 99);
    assertEquals(Main.USER_MISTAKE, many.code(), many.output());
    var parts = WeftProcess.runHere("train", "--resume", run, "--steps", 5, "--micro-batches", 2);
    assertEquals(Main.USER_MISTAKE, parts.code(), parts.output());
  }

  @Test
  void interruptedTwiceItQuitsAtOnce() throws Exception {
    // Steps take so long that the second interrupt comes before the end of the one that runs.
    Files.writeString(text, "The cat sat on the mat, and the dog looked on. ".repeat(4000));
    Path first = folder.resolve("runs/gpt/checkpoints/step-00000001");
    WeftProcess process =
        WeftProcess.start(
            folder,
            "train --data %s --layers 1 --hidden 128 --heads 2 --sequence 256 --batch 64 --threads 1"
                .formatted(text)
                .concat(" --save-every 1 --steps 9")
                .split(" "));
    process.await(first).interrupt().await("stopping: ").interrupt();
    var ended = process.end();
    assertEquals(Main.INTERRUPTED, ended.code(), ended.output());
    assertTrue(ended.output().contains("Ctrl-C again quits at once"), ended.output());
    assertFalse(ended.output().contains("stopped after"), ended.output());
    try (var checkpoint = Runs.checkpoint(folder.resolve("runs/gpt"))) {
      assertEquals(1, checkpoint.step());
      assertFalse(checkpoint.model().types().isEmpty());
      assertFalse(checkpoint.optimizer().types().isEmpty());
    }
  }

  @Test
  void aFullDiskLeavesTheLastCheckpoint() throws Exception {
    TrainConfig config = small().with(changes().put("steps", 4), "the test").resolved();
    Path run = folder.resolve("runs/gpt");
    Trainings.train(run.getParent(), "gpt", config);
    Path last = folder.resolve("runs/gpt/checkpoints/step-00000004/model.safetensors");
    byte[] model = Files.readAllBytes(last);
    assertTrue(model.length > 16 << 10, "longer than the disk is wide");

    var full =
        WeftProcess.startWithSmallDisk(
                folder, 16, "train", "--resume", "runs/gpt", "--steps", "9", "--save-every", "2")
            .end();
    assertEquals(Main.USER_MISTAKE, full.code(), full.output());
    assertTrue(full.output().contains("cannot save the checkpoint of step 6"), full.output());
    assertTrue(full.output().contains("the checkpoint of step 4 is unharmed"), full.output());
    assertArrayEquals(model, Files.readAllBytes(last));

    var again = WeftProcess.runHere("train", "--resume", run, "--steps", "9");
    assertEquals(0, again.code(), again.output());
    assertTrue(Files.exists(folder.resolve("runs/gpt/checkpoints/step-00000009")));
  }

  @Test
  void tooLittleMemoryNamesTheOpAndLeavesNoRun() throws Exception {
    String[] command =
        train("--device-memory", "1MiB", "--eval-every", "1", "--name", "never-made");
    var ended = WeftProcess.runHere((Object[]) command);
    assertEquals(Main.USER_MISTAKE, ended.code(), ended.output());
    assertTrue(
        ended.output().matches("(?s).*fullest at [a-z_]+ making %.* needs .* \\(\\d+ bytes\\).*"),
        ended.output());
    assertFalse(Files.exists(Runs.DIRECTORY.resolve("never-made")));
  }

  /** The model that README.md shows. */
  private static String model() throws IOException {
    String readme = Files.readString(Path.of("../README.md"));
    int start = readme.indexOf("    package com.acme;");
    return readme
        .substring(start, readme.indexOf("\nCompile it", start))
        .lines()
        .map(String::strip)
        .collect(Collectors.joining("\n"));
  }

  private Path jar() throws IOException {
    Path source = Files.createDirectories(folder.resolve("src/com/acme")).resolve("MyModel.java");
    Files.writeString(source, model());
    Path classes = folder.resolve("classes");
    int result =
        ToolProvider.getSystemJavaCompiler()
            .run(null, null, null, "-proc:none", "-d", classes.toString(), source.toString());
    assertEquals(0, result);
    Path jar = folder.resolve("my.jar");
    try (var output = new JarOutputStream(Files.newOutputStream(jar))) {
      output.putNextEntry(new JarEntry("com/acme/MyModel.class"));
      Files.copy(classes.resolve("com/acme/MyModel.class"), output);
    }
    return jar;
  }

  @Test
  void aModelOfTheUsersComesFromAJar() throws Exception {
    jar();
    String[] own = {"--model", "com.acme.MyModel", "--classpath", "my.jar"};
    var trained =
        WeftProcess.start(
                folder,
                Stream.concat(
                        Stream.of(
                            train("--steps", "60", "--learning-rate", "0.05", "--warmup", "5")),
                        Stream.of(own))
                    .toArray(String[]::new))
            .end();
    assertEquals(0, trained.code(), trained.output());
    var summary = new ObjectMapper().readTree(folder.resolve("runs/gpt/summary.json").toFile());
    assertTrue(summary.get("validation_loss_per_byte").asDouble() < 2, summary.toString());
    assertFalse(trained.output().contains("weft generate"), trained.output());

    // From another folder too: the run knows where the class is.
    Path run = folder.resolve("runs/gpt");
    var evaluated = WeftProcess.runHere("eval", "--run", run, "--data", text, "--format", "json");
    assertEquals(0, evaluated.code(), evaluated.output());
    assertTrue(new ObjectMapper().readTree(evaluated.output()).get("loss").asDouble() < 2);
    var generated = WeftProcess.runHere("generate", "--run", run);
    assertEquals(Main.USER_MISTAKE, generated.code(), generated.output());
    assertTrue(generated.output().contains("com.acme.MyModel cannot generate"), generated.output());

    Files.writeString(folder.resolve("my.jar"), "no jar");
    var broken = WeftProcess.runHere("train", "--resume", run, "--steps", "61");
    assertEquals(Main.USER_MISTAKE, broken.code(), broken.output());
    assertTrue(broken.output().contains("my.jar"), broken.output());
  }
}
