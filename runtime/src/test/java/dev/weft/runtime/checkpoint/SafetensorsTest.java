package dev.weft.runtime.checkpoint;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.runtime.testing.Mistake;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SequencedMap;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SafetensorsTest {
  private static final String TENSOR = "'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}";

  private static Path shared = Path.of("");

  @TempDir Path folder;

  @BeforeContainer
  static void makeFile() throws IOException {
    shared = Files.createTempFile("fuzz", ".safetensors");
  }

  @AfterContainer
  static void deleteFile() throws IOException {
    Files.deleteIfExists(shared);
  }

  private static byte[] file(byte[] header, int dataBytes) {
    return ByteBuffer.allocate(8 + header.length + dataBytes)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(header.length)
        .put(header)
        .array();
  }

  private String rejected(byte[] bytes) throws IOException {
    Path file = Files.write(folder.resolve("bad.safetensors"), bytes);
    String message = Mistake.message(() -> Safetensors.open(file));
    assertTrue(message.contains(file.toString()), message);
    return message;
  }

  @Provide
  Arbitrary<SequencedMap<String, TensorType>> tensorTypes() {
    Arbitrary<String> names =
        Arbitraries.strings().ofMinLength(1).ofMaxLength(12).filter(n -> badName(n).isEmpty());
    Arbitrary<TensorType> types =
        Combinators.combine(
                Arbitraries.of(DataType.class),
                Arbitraries.longs().between(0, 5).array(long[].class).ofMaxSize(4))
            .as((dtype, sizes) -> new TensorType(dtype, Shape.of(sizes)));
    return Arbitraries.maps(names, types).ofMaxSize(8).map(LinkedHashMap::new);
  }

  private static String badName(String name) {
    return SafetensorsHeader.badName(name);
  }

  @Property(tries = 80)
  void whatIsWrittenIsReadBack(
      @ForAll("tensorTypes") SequencedMap<String, TensorType> types,
      @ForAll boolean onHeap,
      @ForAll long seed)
      throws IOException {
    Random random = new Random(seed);
    try (Arena arena = Arena.ofConfined()) {
      SequencedMap<String, TensorData> tensors = new LinkedHashMap<>();
      types.forEach(
          (name, type) -> {
            byte[] bytes = new byte[(int) type.bytes()];
            random.nextBytes(bytes);
            MemorySegment data =
                onHeap
                    ? MemorySegment.ofArray(bytes)
                    : arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes);
            tensors.put(name, new TensorData(type, data));
          });
      Safetensors.write(shared, tensors, Map.of("seed", Long.toString(seed)));
      try (Safetensors read = Safetensors.open(shared)) {
        assertEquals(List.copyOf(types.entrySet()), List.copyOf(read.types().entrySet()));
        assertEquals(Map.of("seed", Long.toString(seed)), read.metadata());
        read.require(types);
        tensors.forEach(
            (name, tensor) -> {
              MemorySegment found = read.tensor(name).data();
              assertEquals(-1, found.mismatch(tensor.data()));
              assertEquals(0, found.address() % tensor.type().dtype().bytes());
            });
      }
    }
  }

  @Property(tries = 600)
  void damagedHeadersNeverDoWorseThanAnError(
      @ForAll @IntRange(max = 400) int at,
      @ForAll byte value,
      @ForAll @IntRange(max = 3) int cut,
      @ForAll @IntRange(max = 2) int way)
      throws IOException {
    String header =
        "{'__metadata__':{'k':'v'},'a':{'dtype':'F32','shape':[2,1],'data_offsets':[0,8]},"
            + "'b.c':{'dtype':'I64','shape':[],'data_offsets':[8,16]}}";
    byte[] bytes = file(header.replace('\'', '"').getBytes(UTF_8), 16);
    int place = at % bytes.length;
    switch (way) {
      case 0 -> bytes[place] = value;
      case 1 -> bytes = ByteBuffer.allocate(bytes.length + cut).put(bytes).array();
      default -> {
        byte[] without = new byte[Math.max(0, bytes.length - cut)];
        for (int index = 0; index < without.length; index++) {
          without[index] = bytes[index < place ? index : Math.min(index + cut, bytes.length - 1)];
        }
        bytes = without;
      }
    }
    Files.write(shared, bytes);
    try (Safetensors read = Safetensors.open(shared)) {
      for (String name : read.types().keySet()) {
        TensorData tensor = read.tensor(name);
        assertEquals(tensor.type().bytes(), tensor.data().toArray(ValueLayout.JAVA_BYTE).length);
      }
    } catch (UserException refused) {
      assertTrue(Mistake.message(refused).contains(shared.toString()), Mistake.message(refused));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{}                                                              | 8 | after the last"
            + " tensor",
        "[]                                                              | 0 | expected start"
            + " object",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}           | 8 | not JSON",
        "{@}}                                                            | 8 | not JSON",
        "{@} {}                                                          | 8 | goes on after",
        "{@,@}                                                           | 8 | 'a' appears twice",
        "{@}                                                             | 7 | 'a' ends at byte 8",
        "{@}                                                             | 9 | 1 bytes after the"
            + " last",
        "{@,'b':{'dtype':'F32','shape':[1],'data_offsets':[4,8]}}        | 8 | 'b' starts at byte"
            + " 4, within 'a'",
        "{@,'b':{'dtype':'F32','shape':[1],'data_offsets':[9,13]}}       | 13 | 1 bytes between 'a'"
            + " and tensor 'b'",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[8,0]}}          | 8 | hold -8",
        "{'a':{'dtype':'F32','shape':[3],'data_offsets':[0,8]}}          | 8 | takes 12 bytes",
        "{'a':{'dtype':'F32','shape':[-2],'data_offsets':[0,8]}}         | 8 | has -2 in its shape",
        "{'a':{'dtype':'F32','shape':[2.0],'data_offsets':[0,8]}}        | 8 | a.shape",
        "{'a':{'dtype':'F32','shape':[9223372036854775807,9],'data_offsets':[0,8]}} | 8 | more"
            + " bytes than can be counted",
        "{'a':{'dtype':'F32','shape':[99999999999999999999],'data_offsets':[0,8]}}  | 8 | expected"
            + " numbers",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8,8]}}        | 8 | more than 2"
            + " data_offsets",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0]}}            | 8 | pair of"
            + " data_offsets",
        "{'a':{'dtype':'F32','shape':[2]}}                               | 8 | expected dtype,"
            + " shape",
        "{'a':{'dtype':'F32','dtype':'F32','shape':[2]}}                 | 8 | says 'dtype' twice",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8],'x':1}}    | 8 | unknown key 'x'",
        "{'a':{'dtype':'Q4','shape':[2],'data_offsets':[0,8]}}           | 8 | dtype 'Q4', expected"
            + " one of",
        "{'a':3}                                                         | 8 | for a in its header",
        "{'__metadata__':{'a':1},@}                                      | 8 | __metadata__.a",
        "{'__metadata__':{'a':'','a':''},@}                              | 8 | metadata 'a' appears"
            + " twice",
        "{'__metadata__':{},'__metadata__':{},@}                         | 8 | __metadata__ appears"
            + " twice",
        "{'../a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}       | 8 | climbs directories",
        "{'a/../../b':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}  | 8 | climbs directories",
        "{'/a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}         | 8 | absolute path",
        "{'C:/a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}       | 8 | absolute path",
        "{'..\\\\a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}    | 8 | backslash",
        "{'a\\u0000':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}   | 8 | control character",
        "{'\\ud800':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}    | 8 | surrogate",
        "{'':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}           | 8 | it is empty",
      })
  void headersThatLieAreRejected(String header, int dataBytes, String why) throws IOException {
    byte[] json = header.strip().replace("@", TENSOR).replace('\'', '"').getBytes(UTF_8);
    String message = rejected(file(json, dataBytes));
    assertTrue(message.contains(why), message);
  }

  @Test
  void lengthsThatLieAreRejected() throws IOException {
    byte[] good = file(("{" + TENSOR + "}").replace('\'', '"').getBytes(UTF_8), 8);
    for (long length :
        new long[] {-1, Long.MIN_VALUE, Long.MAX_VALUE, 0, 1, 1 << 30, good.length}) {
      ByteBuffer.wrap(good).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
      String message = rejected(good);
      assertTrue(message.contains(Long.toUnsignedString(length)), message);
    }
    rejected(new byte[0]);
    rejected(new byte[7]);
    byte[] notUtf8 = "{\"\u00e9\":1}".getBytes(ISO_8859_1);
    assertTrue(rejected(file(notUtf8, 0)).contains("not UTF-8"));
    rejected(file(("{" + "[".repeat(100_000)).getBytes(UTF_8), 0));
    rejected(file(("{\"a\":" + "[".repeat(100_000)).getBytes(UTF_8), 0));
    rejected(file(("{\"" + "a".repeat(1_000_000) + "\":1}").getBytes(UTF_8), 0));
    rejected(
        file(
            ("{\"a\":{\"dtype\":\"F32\",\"shape\":[" + "1".repeat(5000) + "]}}").getBytes(UTF_8),
            0));
    String missing = Mistake.message(() -> Safetensors.open(folder.resolve("none")));
    assertTrue(missing.contains("NoSuchFile"), missing);
  }

  @Test
  void readsWhatOthersWrite() throws IOException {
    // Without padding, so at an odd address, and with space after the header.
    String header = "{" + TENSOR + ",'t':{'shape':[0],'data_offsets':[8,8],'dtype':'BF16'}}   ";
    byte[] bytes = file(header.replace('\'', '"').getBytes(UTF_8), 8);
    bytes[bytes.length - 1] = 0x3f;
    bytes[bytes.length - 2] = (byte) 0x80;
    Path file = Files.write(folder.resolve("other.safetensors"), bytes);
    try (Safetensors read = Safetensors.open(file)) {
      MemorySegment data = read.tensor("a").data();
      assertArrayEquals(new float[] {0, 1}, data.toArray(ValueLayout.JAVA_FLOAT_UNALIGNED));
      assertEquals(TensorType.of(DataType.BF16, 0), read.tensor("t").type());
    }
  }

  @Test
  void arraysOfAnyElementsAreWritten() throws IOException {
    SequencedMap<String, TensorData> tensors = new LinkedHashMap<>();
    float[] floats = {1, 2, 3};
    long[] longs = {4, 5};
    tensors.put("f", new TensorData(TensorType.of(DataType.F32, 3), MemorySegment.ofArray(floats)));
    tensors.put("l", new TensorData(TensorType.of(DataType.I64, 2), MemorySegment.ofArray(longs)));
    Path file = folder.resolve("a.safetensors");
    Safetensors.write(file, tensors, Map.of());
    try (Safetensors read = Safetensors.open(file)) {
      assertArrayEquals(floats, read.tensor("f").data().toArray(ValueLayout.JAVA_FLOAT));
      assertArrayEquals(longs, read.tensor("l").data().toArray(ValueLayout.JAVA_LONG));
    }
  }
}
