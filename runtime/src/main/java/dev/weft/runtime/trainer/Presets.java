package dev.weft.runtime.trainer;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import org.jspecify.annotations.Nullable;

/** Published sizes of models, the JSON files of {@code presets/}. */
final class Presets {
  private static final ObjectMapper JSON = new ObjectMapper();

  private Presets() {}

  /** The options that make a model of that name; null if there is no such preset. */
  static @Nullable ObjectNode model(String name) {
    if (!name.matches("[a-z0-9.-]+")) {
      return null;
    }
    try (InputStream file =
        Presets.class.getResourceAsStream("/presets/models/" + name + ".json")) {
      if (file == null) {
        return null;
      }
      ObjectNode tree = (ObjectNode) JSON.readTree(file);
      tree.remove("about");
      return tree;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
