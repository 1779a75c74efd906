package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ExplainCommandTest {
  private static final Set<String> ROLES =
      Set.of("forward", "input-gradient", "weight-gradient", "update");

  @TempDir Path directory;

  private Path program(String text) throws IOException {
    Path file = directory.resolve("program.txt");
    return Files.writeString(file, text);
  }

  private static JsonNode explain(String... arguments) throws Exception {
    var ended = WeftProcess.runHere(arguments);
    assertEquals(0, ended.code(), ended.output());
    return new ObjectMapper().readTree(ended.output());
  }

  @Test
  void whereAModelIsCut() throws Exception {
    String[] command = "explain --layers 5 --stages 3 --cut h.1,h.4 --format json".split(" ");
    JsonNode stages = explain(command).get("stages");
    assertEquals(3, stages.size());
    assertEquals("h.1", stages.get(1).get("first").asText());
    assertEquals("h.3", stages.get(1).get("last").asText());
    assertEquals(32 * 64 * 192 * 4, stages.get(1).get("received_bytes").asLong());
    assertEquals(0, stages.get(0).get("received_bytes").asLong());
    var mistake = WeftProcess.runHere("explain", "--layers", "5");
    assertEquals(2, mistake.code());
    assertTrue(mistake.output().contains("--mesh"), mistake.output());
  }

  @Test
  void aGraphAsJson() throws Exception {
    Path file =
        program(
            """
            graph product(%a: f32[8,16] [{x},{y}],
                %b: f32[16,4] [{y},{}]) {
              %c = matmul(%a, %b)
              return %c : [{x},{}]
            }
            """);
    JsonNode found =
        explain("explain", "--graph", file.toString(), "--mesh", "x=2,y=4", "--format", "json");
    JsonNode expected =
        new ObjectMapper()
            .readTree(
                """
                {"collectives": [{"kind": "all-reduce", "axes": ["y"], "group_size": 4,
                  "dtype": "f32", "local_shape": [4,4], "global_shape": [8,4],
                  "bytes_per_device": 96, "count": 1, "role": "forward", "value": "%c",
                  "source": "program.txt:3", "reason": "the annotation [{x},{}]"}],
                 "totals": {"all-reduce": {"count": 1, "bytes": 96},
                  "all-gather": {"count": 0, "bytes": 0},
                  "reduce-scatter": {"count": 0, "bytes": 0},
                  "all-to-all": {"count": 0, "bytes": 0},
                  "permute": {"count": 0, "bytes": 0}, "bytes_per_device": 96},
                 "values": [
                  {"name": "%a", "spec": "[{x},{y}]", "from": "annotation at program.txt:1"},
                  {"name": "%b", "spec": "[{y},{}]", "from": "annotation at program.txt:2"},
                  {"name": "%c", "spec": "[{x},{}]", "from": "annotation at program.txt:4"}]}
                """);
    // Numbers are ints in one and longs in the other.
    assertEquals(expected.toPrettyString(), found.toPrettyString());
  }

  @Test
  void aGraphAsText() throws Exception {
    Path file =
        program(
            """
            graph twice(%a: f32[8,16] [{x},{}]) {
              %b = add(%a, %a)
              return %b : [{},{x}]
            }
            """);
    var ended = WeftProcess.runHere("explain", "--graph", file.toString(), "--mesh", "x=2");
    assertEquals(0, ended.code(), ended.output());
    assertEquals(
        """
        mesh x=2: 2 devices

        values
          %a  f32[8,16]  [{x},{}]  annotation at program.txt:1
          %b  f32[8,16]  [{},{x}]  annotation at program.txt:3

        collectives
          all-to-all over x (2 devices) of %b: f32[4,16] of f32[8,16], 128 bytes, once, forward
            program.txt:3: the annotation [{},{x}]

        totals
          all-to-all            1              128 bytes
          a device sends 128 bytes, before merging
        """,
        ended.output());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "gpt  | data=2,model=2   | 1 | 3",
        "gpt  | data=4           | 3 | 1",
        "gpt  | sequence=2       | 0 | 1",
        "moe  | expert=2,model=2 | 0 | 2",
        "unet | data=2,space=2   | 3 | 2",
        "transformer | data=2,model=2 | 2 | 1",
        "mlp  | data=2,model=2   | 0 | 1",
      })
  void everyCollectiveOfAModelResolvesToAFileAndLine(
      String model, String mesh, String zero, String microBatches) throws Exception {
    resolves(model, mesh, zero, microBatches);
  }

  @Tag("nightly")
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "gpt  | model=2          | 0 | 1",
        "gpt  | data=2,model=2   | 0 | 1",
        "gpt  | data=4           | 1 | 2",
        "gpt  | data=4           | 2 | 1",
        "gpt  | data=2           | 3 | 2",
        "moe  | expert=4         | 0 | 1",
        "moe  | data=2,expert=2  | 3 | 1",
        "unet | data=2,space=2   | 0 | 1",
        "unet | space=3          | 0 | 1",
        "unet | data=4           | 2 | 3",
        "mlp  | data=4           | 3 | 2",
        "mlp  | model=4          | 0 | 1",
      })
  void everyCollectiveOnFurtherMeshesDoesToo(
      String model, String mesh, String zero, String microBatches) throws Exception {
    resolves(model, mesh, zero, microBatches);
  }

  private static void resolves(String model, String mesh, String zero, String microBatches)
      throws Exception {
    JsonNode found =
        explain(
            ("explain --model "
                    + model
                    + " --layers 2 --hidden 16 --heads 2 --sequence 8 --batch 12 --image 16"
                    + " --format json --mesh "
                    + mesh
                    + " --zero "
                    + zero
                    + " --micro-batches "
                    + microBatches)
                .split(" "));
    assertFalse(found.get("collectives").isEmpty());
    long bytes = 0;
    for (JsonNode use : found.get("collectives")) {
      assertTrue(use.get("source").asText().matches("\\w+\\.java:[0-9]+"), use::toString);
      assertTrue(ROLES.contains(use.get("role").asText()), use::toString);
      assertTrue(use.get("value").asText().startsWith("%"), use::toString);
      bytes += use.get("bytes_per_device").asLong() * use.get("count").asLong();
    }
    assertEquals(bytes, found.at("/totals/bytes_per_device").asLong());
    for (JsonNode value : found.get("values")) {
      assertFalse(value.get("from").asText().isEmpty(), value::toString);
    }
    assertFalse(found.get("values").isEmpty());
  }

  /** What is not said of a model is as its training has it. */
  @ParameterizedTest
  @CsvSource({
    "gpt,model=2,wte,256 192",
    "unet,space=2,images,8 1 64 64",
    "mlp,data=2,points,128 2"
  })
  void modelsAreExplainedInTheSizesThatTheyTrainIn(
      String model, String mesh, String value, String sizes) throws Exception {
    var ended = WeftProcess.runHere("explain", "--model", model, "--mesh", mesh);
    assertEquals(0, ended.code(), ended.output());
    assertTrue(
        ended.output().matches("(?s).*%" + value + " +f32\\[" + sizes.replace(" ", ",") + "].*"),
        ended.output());
  }

  /** The sum that the head hands back is waited for by the backward of the layers. */
  @Test
  void sumsOfTheBackwardAreToldByWhatTheyAreFor() throws Exception {
    JsonNode found =
        explain(
            "explain --model gpt --layers 2 --hidden 16 --heads 2 --sequence 8 --batch 12 --mesh model=2 --format json"
                .split(" "));
    int inputs = 0;
    for (JsonNode use : found.get("collectives")) {
      if (use.get("global_shape").toString().equals("[12,8,16]")) {
        String role = use.get("role").asText();
        assertTrue(Set.of("forward", "input-gradient").contains(role), use::toString);
        inputs += role.equals("forward") ? 0 : use.get("count").asInt();
      }
    }
    assertEquals(2 * 2 + 1, inputs);
  }

  private void refused(List<String> arguments, String... words) throws Exception {
    var ended = WeftProcess.runHere(arguments.toArray(String[]::new));
    assertEquals(Main.USER_MISTAKE, ended.code(), ended.output());
    for (String word : words) {
      assertTrue(ended.output().contains(word), ended.output());
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        // mesh | sharding of %h in line 2 | words of the error
        "x=2       | [{x},{z}]   | %h; line 2; mesh axis z",
        "x=2       | [{x},{x}]   | %h; line 2; mesh axis x is used twice",
        "x=2       | [{x}]       | %h; line 2; rank 2; [{x}]",
        "x=2       | [{x},x]     | line 2",
        "x=2,w=2   | [{x},{}]    | mesh axis w; in use are x",
        "x=2,w=1   | [{x},{}]    | mesh axis w; in use are x",
        "x=2,x=3   | [{x},{}]    | two axes named x",
        "x         | [{x},{}]    | data=2,model=4",
        "x=0       | [{x},{}]    | at least 1",
        "x=-2      | [{x},{}]    | at least 1",
        "'x=2,,'   | [{x},{}]    | x=2,,",
        "x=9999999999 | [{x},{}] | x=9999999999",
        "x=1000000,y=1000000 | [{x},{}] | devices",
      })
  void mistakesNameTensorAxisAndLine(String mesh, String sharding, String words) throws Exception {
    Path file =
        program(
            """
            graph negated(%a: f32[8,16] [{x},{}]) {
              %h = negate(%a) : f32[8,16] SHARDING
              return %h
            }
            """
                .replace("SHARDING", sharding));
    String[] expected =
        words.replace("line 2", sharding.contains("z") ? "program.txt:2" : "line 2").split("; ");
    refused(List.of("explain", "--graph", file.toString(), "--mesh", mesh), expected);
  }

  @Test
  void whatCannotBeReadIsRefused() throws Exception {
    Path missing = directory.resolve("missing.txt");
    refused(List.of("explain", "--graph", missing.toString(), "--mesh", "x=2"), "missing.txt");
    refused(List.of("explain", "--graph", directory.toString(), "--mesh", "x=2"), "cannot read");
    Path latin = Files.write(directory.resolve("latin.txt"), new byte[] {'a', (byte) 0xE9, 'b'});
    refused(List.of("explain", "--graph", latin.toString(), "--mesh", "x=2"), "UTF-8");
    refused(List.of("explain", "--graph", missing.toString()), "--mesh");
    Path file = program("graph none() { return }");
    refused(
        List.of("explain", "--graph", file.toString(), "--mesh", "x=2", "--layers", "3"),
        "--layers");
    refused(List.of("explain", "--graph", file.toString(), "--mesh", "x=2"), "in use are none");
    refused(List.of("explain", "--mesh", "pipe=2"), "mesh axis pipe", "data, model, sequence");
    refused(List.of("explain", "--mesh", "data=2", "--zero", "4"), "zero");
  }
}
