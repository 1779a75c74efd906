package dev.weft.runtime.checkpoint;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.TensorType;
import dev.weft.runtime.storage.Checksum;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/**
 * What a checkpoint consists of, as JSON: its step, the state of the run beside the tensors, and
 * every file with its size, checksum and tensors. The manifest carries a checksum of itself.
 *
 * @param state whatever else the run needs to go on as if it had never stopped
 */
record Manifest(long step, ObjectNode state, SequencedMap<String, FileEntry> files) {
  static final String FILE_NAME = "manifest.json";

  private static final String FORMAT = "weft-checkpoint";
  private static final int VERSION = 1;
  private static final String CHECKSUM = "crc32c";
  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  /** One file of a checkpoint. */
  record FileEntry(long bytes, String checksum, SequencedMap<String, TensorEntry> tensors) {}

  /** One tensor of a file. */
  record TensorEntry(TensorType type, String checksum) {}

  byte[] toJson() {
    ObjectNode root = JSON.createObjectNode();
    root.put("format", FORMAT).put("version", VERSION).put("step", step).set("state", state);
    ObjectNode filesNode = root.putObject("files");
    files.forEach(
        (name, file) -> {
          ObjectNode fileNode = filesNode.putObject(name);
          fileNode.put("bytes", file.bytes()).put(CHECKSUM, file.checksum());
          ObjectNode tensorsNode = fileNode.putObject("tensors");
          file.tensors()
              .forEach(
                  (tensorName, tensor) ->
                      tensorsNode
                          .putObject(tensorName)
                          .put("type", tensor.type().toString())
                          .put(CHECKSUM, tensor.checksum()));
        });
    try {
      // The sum is over what a reader will have in hand: the text after it was read once.
      ObjectNode asRead = (ObjectNode) JSON.readTree(JSON.writeValueAsBytes(root));
      asRead.put(CHECKSUM, checksum(asRead));
      return JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(asRead);
    } catch (IOException impossible) {
      throw new AssertionError("writing to memory does not fail", impossible);
    }
  }

  /**
   * Reads the manifest of a checkpoint.
   *
   * @throws UserException if it is missing, damaged or of a version that is not known
   */
  static Manifest read(Path directory) {
    Path file = directory.resolve(FILE_NAME);
    JsonNode root;
    try {
      root = JSON.readTree(Files.readAllBytes(file));
    } catch (JacksonException malformed) {
      throw new UserException(
          "'%s' is damaged: not JSON: %s"
              .formatted(file, SafetensorsHeader.shortened(malformed.getOriginalMessage())),
          malformed);
    } catch (IOException failure) {
      throw new UserException(
          "cannot read '%s': %s: %s; expected a checkpoint in '%s'"
              .formatted(file, failure.getClass().getSimpleName(), failure.getMessage(), directory),
          failure);
    }
    if (!(root instanceof ObjectNode object) || !object.path("format").asText().equals(FORMAT)) {
      throw new UserException("'%s' is not the manifest of a checkpoint".formatted(file));
    }
    if (object.path("version").asInt() != VERSION) {
      throw new UserException(
          "'%s' has version %s, expected %d: it was written by another version of Weft"
              .formatted(
                  file, SafetensorsHeader.shortened(object.path("version").toString()), VERSION));
    }
    JsonNode said = object.remove(CHECKSUM);
    String found = checksum(object);
    if (said == null || !said.asText().equals(found)) {
      throw new UserException(
          "'%s' is damaged: expected checksum %s, found %s"
              .formatted(
                  file,
                  said == null ? "(none)" : SafetensorsHeader.shortened(said.asText()),
                  found));
    }
    return read(file, object);
  }

  private static Manifest read(Path file, ObjectNode object) {
    // The checksum was right, so whoever wrote the file meant it: only a foreign writer ends here.
    if (!(object.get("state") instanceof ObjectNode state)
        || !object.path("step").canConvertToLong()) {
      throw new UserException("'%s' lacks the step or the state".formatted(file));
    }
    SequencedMap<String, FileEntry> files = new LinkedHashMap<>();
    for (var fileNode : object.path("files").properties()) {
      SequencedMap<String, TensorEntry> tensors = new LinkedHashMap<>();
      for (var tensor : fileNode.getValue().path("tensors").properties()) {
        try {
          TensorType type = TensorType.parse(tensor.getValue().path("type").asText());
          tensors.put(
              tensor.getKey(), new TensorEntry(type, tensor.getValue().path(CHECKSUM).asText()));
        } catch (IllegalArgumentException malformed) {
          throw new UserException(
              "'%s' has a bad type for tensor '%s': %s"
                  .formatted(file, tensor.getKey(), malformed.getMessage()),
              malformed);
        }
      }
      files.put(
          fileNode.getKey(),
          new FileEntry(
              fileNode.getValue().path("bytes").asLong(),
              fileNode.getValue().path(CHECKSUM).asText(),
              tensors));
    }
    return new Manifest(object.path("step").asLong(), state, files);
  }

  private static String checksum(ObjectNode root) {
    return Checksum.of(root.toString().getBytes(StandardCharsets.UTF_8));
  }
}
