package dev.weft.runtime.trainer;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.weft.core.cluster.Suggestion;
import dev.weft.core.cluster.UserException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** Configurations as trees of keys and values, written and read. */
final class ConfigTree {
  private static final ObjectMapper JSON =
      strict(JsonMapper.builder().disable(MapperFeature.ALLOW_COERCION_OF_SCALARS).build());
  private static final ObjectMapper YAML =
      strict(
          YAMLMapper.builder(
                  YAMLFactory.builder()
                      .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                      .build())
              .build());

  private static final ObjectNode DEFAULT = of(TrainConfig.DEFAULT);

  private ConfigTree() {}

  private static ObjectMapper strict(ObjectMapper mapper) {
    return mapper
        .setPropertyNamingStrategy(PropertyNamingStrategies.KEBAB_CASE)
        .configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, true)
        .configure(DeserializationFeature.ACCEPT_FLOAT_AS_INT, false)
        .configure(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES, true);
  }

  static ObjectNode empty() {
    return JSON.createObjectNode();
  }

  static ObjectNode of(TrainConfig config) {
    return JSON.valueToTree(config);
  }

  static List<String> keys() {
    var keys = new ArrayList<String>();
    DEFAULT.fieldNames().forEachRemaining(keys::add);
    return keys;
  }

  static String yaml(TrainConfig config) {
    try {
      return YAML.writeValueAsString(config);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  /** See {@link TrainConfig#with}. */
  static TrainConfig changed(TrainConfig config, ObjectNode changes, String source) {
    List<String> known = keys();
    ObjectNode tree = of(config);
    changes
        .fieldNames()
        .forEachRemaining(
            key -> {
              if (!known.contains(key)) {
                throw new UserException(
                    "unknown key '" + key + "' in " + source + Suggestion.hint(key, known));
              }
              requireType(key, changes.get(key), DEFAULT.get(key), source);
              JsonNode value = changes.get(key);
              tree.set(key, mayBeNumber(key) ? tree.textNode(value.asText()) : value);
            });
    ObjectNode preset = Presets.model(tree.get("model").asText());
    if (preset != null) {
      tree.set("model", preset.get("model"));
    }
    try {
      return JSON.treeToValue(tree, TrainConfig.class);
    } catch (JsonMappingException e) {
      for (Throwable cause = e; cause != null; cause = cause.getCause()) {
        if (cause instanceof UserException mistake) {
          throw mistake;
        }
      }
      throw new UserException(source + ": " + e.getOriginalMessage(), e);
    } catch (JsonProcessingException e) {
      throw new UserException(source + ": " + e.getOriginalMessage(), e);
    }
  }

  /** Whether a key is for an amount of memory, which may be a text with a unit or a number. */
  private static boolean isMemory(String key) {
    return key.equals("device-memory") || key.equals("bucket-bytes");
  }

  /** Whether a key is for a text that may be written as a number. */
  private static boolean mayBeNumber(String key) {
    return isMemory(key) || key.equals("sub-pipeline");
  }

  /** Holds a value to the type that the default has. */
  private static void requireType(String key, JsonNode value, JsonNode like, String source) {
    String expected;
    boolean fits;
    if (like.isArray()) {
      expected = "a list of texts, like [a.txt, b.txt]";
      fits = value.isArray();
      for (JsonNode element : value) {
        fits &= element.isTextual();
      }
    } else if (isMemory(key)) {
      expected = "an amount of memory like 4MiB or 1000000";
      fits = value.isTextual() || value.canConvertToLong() && value.isIntegralNumber();
    } else if (mayBeNumber(key)) {
      expected = "0, 1, 2, 3 or auto";
      fits = value.isTextual() || value.isIntegralNumber();
    } else if (like.isTextual()) {
      expected =
          "a text"
              + (value.isValueNode() && !value.isNull() ? ", like \"" + value.asText() + "\"" : "");
      fits = value.isTextual();
    } else if (like.isFloatingPointNumber()) {
      expected = "a number";
      fits = value.isNumber() && Double.isFinite(value.asDouble());
    } else if (like.isLong()) {
      expected = "a whole number";
      fits = value.isIntegralNumber() && value.canConvertToLong();
    } else {
      expected = "a whole number up to " + Integer.MAX_VALUE;
      fits = value.isIntegralNumber() && value.canConvertToInt();
    }
    if (!fits) {
      throw new UserException(
          "key '%s' in %s: expected %s, found %s"
              .formatted(key, source, expected, value.isNull() ? "nothing" : value));
    }
  }

  /** See {@link TrainConfig#withFile}. */
  static TrainConfig read(TrainConfig config, Path file) {
    try {
      JsonNode tree = YAML.readTree(file.toFile());
      if (tree == null || tree.isMissingNode() || tree.isNull()) {
        return config;
      }
      if (!(tree instanceof ObjectNode object)) {
        throw new UserException("'" + file + "' must hold keys and values");
      }
      return config.with(object, "'" + file + "'");
    } catch (JsonProcessingException e) {
      throw new UserException(
          "'"
              + file
              + "' is no YAML: "
              + e.getOriginalMessage().lines().map(String::strip).collect(Collectors.joining(" ")),
          e);
    } catch (FileNotFoundException | NoSuchFileException e) {
      throw new UserException(
          Files.isDirectory(file)
              ? "'" + file + "' is a directory: --config takes a YAML file"
              : "there is no file '" + file + "', named by --config",
          e);
    } catch (IOException e) {
      throw new UserException("'" + file + "' is no YAML: " + e.getMessage(), e);
    }
  }
}
