package dev.weft.runtime.checkpoint;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.ShapeException;
import dev.weft.core.graph.TensorType;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * The JSON header of a safetensors file: what tensors there are and where.
 *
 * @param metadata free text by name
 * @param entries tensors by name, in the order of the header
 */
record SafetensorsHeader(
    SequencedMap<String, String> metadata, SequencedMap<String, Entry> entries) {
  /** The longest header that readers of the format accept, in bytes. */
  static final long LONGEST = 100_000_000;

  private static final String METADATA = "__metadata__";
  private static final int HIGHEST_RANK = 64;
  private static final int LONGEST_NAME = 4096;

  /** Names come from files that may be hostile: none is kept beyond its file. */
  private static final JsonFactory JSON =
      JsonFactory.builder()
          .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
          .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
          .build();

  /** A tensor's type and the bytes it takes, counted from the end of the header. */
  record Entry(TensorType type, long begin, long end) {}

  /**
   * Lays tensors out: wide elements first, so that every element stands at a multiple of its size.
   */
  static SafetensorsHeader of(
      SequencedMap<String, TensorType> types, Map<String, String> metadata) {
    List<Map.Entry<String, TensorType>> order = new ArrayList<>(types.entrySet());
    order.sort(Comparator.comparingInt(entry -> -entry.getValue().dtype().bytes()));
    SequencedMap<String, Entry> entries = new LinkedHashMap<>();
    types.forEach((name, type) -> entries.put(name, new Entry(type, 0, 0)));
    long begin = 0;
    for (Map.Entry<String, TensorType> tensor : order) {
      long end = begin + tensor.getValue().bytes();
      entries.put(tensor.getKey(), new Entry(tensor.getValue(), begin, end));
      begin = end;
    }
    return new SafetensorsHeader(new LinkedHashMap<>(metadata), entries);
  }

  /** Tensors in the order of their bytes. */
  List<Map.Entry<String, Entry>> inFileOrder() {
    List<Map.Entry<String, Entry>> order = new ArrayList<>(entries.entrySet());
    order.sort(
        Comparator.<Map.Entry<String, Entry>>comparingLong(entry -> entry.getValue().begin())
            .thenComparingLong(entry -> entry.getValue().end()));
    return order;
  }

  /** The header as bytes of JSON. */
  byte[] toJson() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (JsonGenerator json = JSON.createGenerator(bytes)) {
      json.writeStartObject();
      if (!metadata.isEmpty()) {
        json.writeObjectFieldStart(METADATA);
        for (Map.Entry<String, String> entry : metadata.entrySet()) {
          json.writeStringField(entry.getKey(), entry.getValue());
        }
        json.writeEndObject();
      }
      for (Map.Entry<String, Entry> entry : entries.entrySet()) {
        Entry tensor = entry.getValue();
        json.writeObjectFieldStart(entry.getKey());
        json.writeStringField("dtype", tensor.type().dtype().name());
        json.writeFieldName("shape");
        long[] sizes = tensor.type().shape().sizes();
        json.writeArray(sizes, 0, sizes.length);
        json.writeFieldName("data_offsets");
        json.writeArray(new long[] {tensor.begin(), tensor.end()}, 0, 2);
        json.writeEndObject();
      }
      json.writeEndObject();
    } catch (IOException impossible) {
      throw new AssertionError("writing to memory does not fail", impossible);
    }
    return bytes.toByteArray();
  }

  /**
   * Why a name may not be a tensor's; empty for a good name. Names often become paths when a file
   * is taken apart, so none may lead out of a folder.
   */
  static String badName(String name) {
    if (name.isEmpty()) {
      return "it is empty";
    }
    if (name.length() > LONGEST_NAME) {
      return "it has more than " + LONGEST_NAME + " characters";
    }
    if (name.equals(METADATA)) {
      return "the format keeps this name for itself";
    }
    if (name.chars().anyMatch(letter -> letter < ' ' || letter == 0x7F || letter == '\\')) {
      return "it contains a control character or a backslash";
    }
    if (!StandardCharsets.UTF_8.newEncoder().canEncode(name)) {
      return "it contains half a character";
    }
    if (name.startsWith("/") || name.matches("[A-Za-z]:/.*")) {
      return "it is an absolute path";
    }
    for (String part : name.split("/", -1)) {
      if (part.equals("..") || part.equals(".") || part.isEmpty()) {
        return "it climbs directories or has an empty part";
      }
    }
    return "";
  }

  /**
   * Reads a header and holds it to the format: tensors fill the data without gap or overlap, and
   * every one has the bytes that its type takes.
   *
   * @param file what messages name
   * @param dataBytes how many bytes follow the header
   * @throws UserException if anything is not as the format wants it
   */
  static SafetensorsHeader parse(Path file, byte[] header, long dataBytes) {
    String text;
    try {
      text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(header)).toString();
    } catch (CharacterCodingException malformed) {
      throw problem(file, "its header is not UTF-8");
    }
    SafetensorsHeader parsed;
    try (JsonParser json = JSON.createParser(text)) {
      parsed = new Reading(file, json).header();
    } catch (JacksonException malformed) {
      throw new UserException(
          "'%s' is not a sound safetensors file: its header is not JSON: %s"
              .formatted(file, shortened(malformed.getOriginalMessage())),
          malformed);
    } catch (IOException impossible) {
      throw new AssertionError("reading from memory does not fail", impossible);
    }
    parsed.checkLayout(file, dataBytes);
    return parsed;
  }

  private void checkLayout(Path file, long dataBytes) {
    long filled = 0;
    String before = "the header";
    for (Map.Entry<String, Entry> entry : inFileOrder()) {
      String name = entry.getKey();
      Entry tensor = entry.getValue();
      if (tensor.begin() < filled) {
        throw problem(
            file,
            "tensor '%s' starts at byte %d, within '%s', which ends at byte %d"
                .formatted(shortened(name), tensor.begin(), shortened(before), filled));
      }
      if (tensor.begin() > filled) {
        throw problem(
            file,
            "%d bytes between '%s' and tensor '%s' belong to no tensor"
                .formatted(tensor.begin() - filled, shortened(before), shortened(name)));
      }
      if (tensor.end() > dataBytes) {
        throw problem(
            file,
            "tensor '%s' ends at byte %d of the data, but the file has only %d; it may be cut short"
                .formatted(shortened(name), tensor.end(), dataBytes));
      }
      filled = tensor.end();
      before = name;
    }
    if (filled != dataBytes) {
      throw problem(
          file, "%d bytes after the last tensor belong to none".formatted(dataBytes - filled));
    }
  }

  static UserException problem(Path file, String what) {
    return new UserException("'%s' is not a sound safetensors file: %s".formatted(file, what));
  }

  /** Keeps a hostile name or message from filling the screen. */
  static String shortened(String text) {
    String printable = text.replaceAll("\\p{Cntrl}", "?");
    return printable.length() <= 200 ? printable : printable.substring(0, 200) + "...";
  }

  /** One pass through the JSON of a header. */
  private static final class Reading {
    private final Path file;
    private final JsonParser json;
    private final SequencedMap<String, String> metadata = new LinkedHashMap<>();
    private final SequencedMap<String, Entry> entries = new LinkedHashMap<>();

    Reading(Path file, JsonParser json) {
      this.file = file;
      this.json = json;
    }

    SafetensorsHeader header() throws IOException {
      expect(json.nextToken(), JsonToken.START_OBJECT, "the header");
      boolean metadataRead = false;
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String name = json.currentName();
        json.nextToken();
        if (name.equals(METADATA)) {
          if (metadataRead) {
            throw problem(file, METADATA + " appears twice in its header");
          }
          metadataRead = true;
          readMetadata();
        } else {
          readTensor(name);
        }
      }
      if (json.nextToken() != null) {
        throw problem(file, "its header goes on after the closing brace");
      }
      return new SafetensorsHeader(metadata, entries);
    }

    private void readMetadata() throws IOException {
      expect(json.currentToken(), JsonToken.START_OBJECT, METADATA);
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String key = json.currentName();
        expect(json.nextToken(), JsonToken.VALUE_STRING, METADATA + "." + key);
        if (metadata.put(key, json.getText()) != null) {
          throw problem(file, "metadata '%s' appears twice".formatted(shortened(key)));
        }
      }
    }

    private void readTensor(String name) throws IOException {
      String bad = badName(name);
      if (!bad.isEmpty()) {
        throw problem(
            file, "'%s' may not be the name of a tensor: %s".formatted(shortened(name), bad));
      }
      if (entries.containsKey(name)) {
        throw problem(file, "tensor '%s' appears twice".formatted(shortened(name)));
      }
      expect(json.currentToken(), JsonToken.START_OBJECT, name);
      String dtype = "";
      long[] shape = {};
      long[] offsets = {};
      List<String> keys = new ArrayList<>();
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String key = json.currentName();
        if (keys.contains(key)) {
          throw problem(
              file, "tensor '%s' says '%s' twice".formatted(shortened(name), shortened(key)));
        }
        json.nextToken();
        switch (key) {
          case "dtype" -> {
            expect(json.currentToken(), JsonToken.VALUE_STRING, name + ".dtype");
            dtype = json.getText();
          }
          case "shape" -> shape = numbers(name, key, HIGHEST_RANK);
          case "data_offsets" -> offsets = numbers(name, key, 2);
          default ->
              throw problem(
                  file,
                  "tensor '%s' has the unknown key '%s'"
                      .formatted(shortened(name), shortened(key)));
        }
        keys.add(key);
      }
      if (keys.size() != 3 || offsets.length != 2) {
        throw problem(
            file,
            "tensor '%s' has %s, expected dtype, shape and a pair of data_offsets"
                .formatted(shortened(name), keys));
      }
      entries.put(name, entry(name, dtype, shape, offsets[0], offsets[1]));
    }

    private Entry entry(String name, String dtype, long[] shape, long begin, long end) {
      TensorType type =
          Arrays.stream(DataType.values())
              .filter(known -> known.name().equals(dtype))
              .findFirst()
              .map(known -> new TensorType(known, Shape.of(shape)))
              .orElseThrow(
                  () ->
                      problem(
                          file,
                          "tensor '%s' has dtype '%s', expected one of %s"
                              .formatted(
                                  shortened(name),
                                  shortened(dtype),
                                  Arrays.toString(DataType.values()).toUpperCase(Locale.ROOT))));
      long bytes;
      try {
        bytes = type.bytes();
      } catch (ShapeException overflow) {
        throw problem(
            file,
            "tensor '%s' of type %s has more bytes than can be counted"
                .formatted(shortened(name), type));
      }
      // Both are at least 0, so that the difference cannot overflow.
      if (end - begin != bytes) {
        throw problem(
            file,
            "tensor '%s' of type %s takes %d bytes, but its data_offsets [%d, %d] hold %d"
                .formatted(shortened(name), type, bytes, begin, end, end - begin));
      }
      return new Entry(type, begin, end);
    }

    private long[] numbers(String name, String key, int most) throws IOException {
      expect(json.currentToken(), JsonToken.START_ARRAY, name + "." + key);
      long[] numbers = new long[most];
      int count = 0;
      while (json.nextToken() != JsonToken.END_ARRAY) {
        expect(json.currentToken(), JsonToken.VALUE_NUMBER_INT, name + "." + key);
        if (count == most) {
          throw problem(
              file, "tensor '%s' has more than %d %s".formatted(shortened(name), most, key));
        }
        boolean fits =
            json.getNumberType() == JsonParser.NumberType.INT
                || json.getNumberType() == JsonParser.NumberType.LONG;
        if (!fits || json.getLongValue() < 0) {
          throw problem(
              file,
              "tensor '%s' has %s in its %s, expected numbers from 0 to %d"
                  .formatted(shortened(name), shortened(json.getText()), key, Long.MAX_VALUE));
        }
        numbers[count++] = json.getLongValue();
      }
      return Arrays.copyOf(numbers, count);
    }

    private void expect(@Nullable JsonToken found, JsonToken expected, String where) {
      if (found != expected) {
        throw problem(
            file,
            "expected %s for %s in its header, found %s"
                .formatted(words(expected), shortened(where), words(found)));
      }
    }

    private static String words(@Nullable JsonToken token) {
      return token == null ? "nothing" : token.name().toLowerCase(Locale.ROOT).replace('_', ' ');
    }
  }
}
