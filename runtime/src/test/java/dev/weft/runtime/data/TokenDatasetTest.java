package dev.weft.runtime.data;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.UserException;
import dev.weft.runtime.testing.Mistake;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.NotEmpty;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenDatasetTest {
  @TempDir Path folder;

  private static byte[] bytes(Tokens tokens) {
    return tokens.bytes().toArray(ValueLayout.JAVA_BYTE);
  }

  private TextFile text(String name, String content) throws IOException {
    return new TextFile(Files.writeString(folder.resolve(name), content));
  }

  private Path onlyCacheFile() throws IOException {
    try (Stream<Path> files = Files.list(folder.resolve("cache"))) {
      List<Path> all = files.toList();
      assertEquals(1, all.size(), all::toString);
      return all.getFirst();
    }
  }

  @Test
  void everyTextHoldsOutItsOwnLastPart() throws IOException {
    TextFile first = text("a.txt", "a".repeat(95) + "A".repeat(5));
    TextFile second = text("b.txt", "b".repeat(38) + "B".repeat(2));
    TokenDataset dataset = TokenDataset.open(folder.resolve("cache"), List.of(first, second));
    assertEquals("a".repeat(95) + "b".repeat(38), new String(bytes(dataset.training()), UTF_8));
    assertEquals("AAAAABB", new String(bytes(dataset.validation()), UTF_8));
  }

  @Test
  void aSecondStartDoesNotReadTheTexts() throws IOException {
    TextFile text = text("a.txt", "to be or not to be ".repeat(20));
    Path cache = folder.resolve("cache");
    TokenDataset dataset = TokenDataset.open(cache, List.of(text));
    var written = Files.readAttributes(onlyCacheFile(), "lastModifiedTime,fileKey");
    TokenDataset again = TokenDataset.open(cache, List.of(text));
    assertEquals(written, Files.readAttributes(onlyCacheFile(), "lastModifiedTime,fileKey"));
    assertEquals(dataset.identity(), again.identity());
  }

  @Test
  void aChangedTextIsReadAgain() throws IOException {
    Path cache = folder.resolve("cache");
    TokenDataset before = TokenDataset.open(cache, List.of(text("a.txt", "x".repeat(100))));
    TokenDataset after = TokenDataset.open(cache, List.of(text("a.txt", "y".repeat(101))));
    assertEquals('y', after.training().at(0));
    assertNotEquals(before.identity(), after.identity());
  }

  @Test
  void tokensThatNobodyUsesAreDeleted() throws IOException {
    Path cache = folder.resolve("cache");
    TextFile first = text("a.txt", "x".repeat(100));
    TokenDataset.open(cache, List.of(first));
    Path old = onlyCacheFile();
    FileTime longAgo = FileTime.from(Instant.now().minus(Duration.ofDays(40)));
    Files.setLastModifiedTime(old, longAgo);
    TokenDataset.open(cache, List.of(first));
    Files.setLastModifiedTime(Files.createFile(cache.resolve(".x.partial")), longAgo);
    TokenDataset.open(cache, List.of(text("b.txt", "y".repeat(100))));
    assertTrue(Files.exists(old), "used just now");
    assertFalse(Files.exists(cache.resolve(".x.partial")));
    Files.setLastModifiedTime(old, longAgo);
    TokenDataset.open(cache, List.of(text("c.txt", "z".repeat(100))));
    assertFalse(Files.exists(old));
  }

  @Test
  void aDamagedCacheIsWrittenAgain() throws IOException {
    TextFile text = text("a.txt", "to be or not to be ".repeat(20));
    Path cache = folder.resolve("cache");
    TokenDataset dataset = TokenDataset.open(cache, List.of(text));
    byte[] intact = Files.readAllBytes(onlyCacheFile());
    for (int at = 0; at < intact.length; at += 41) {
      byte[] damaged = intact.clone();
      damaged[at] ^= 0x10;
      Files.delete(onlyCacheFile());
      Files.write(cache.resolve("x"), damaged);
      Files.move(cache.resolve("x"), cacheName(cache, text));
      assertEquals(dataset.identity(), TokenDataset.open(cache, List.of(text)).identity());
      assertArrayEquals(intact, Files.readAllBytes(onlyCacheFile()));
    }
    try (var file = new RandomAccessFile(onlyCacheFile().toFile(), "rw")) {
      file.setLength(10);
    }
    assertEquals(dataset.identity(), TokenDataset.open(cache, List.of(text)).identity());
  }

  /** Where the cache keeps the tokens of a text: found by making them in another folder. */
  private Path cacheName(Path cache, TextFile text) throws IOException {
    Path other = Files.createTempDirectory(folder, "other");
    TokenDataset.open(other, List.of(text));
    try (Stream<Path> files = Files.list(other)) {
      return cache.resolve(files.findFirst().orElseThrow().getFileName());
    }
  }

  @Test
  void mistakesNameTheFile() throws IOException {
    Path missing = folder.resolve("missing.txt");
    assertTrue(message(new TextFile(missing)).contains(missing + "' does not exist"));
    assertTrue(message(text("empty.txt", "")).contains("empty.txt' is empty"));
    assertTrue(message(new TextFile(folder)).contains("is a directory"));
  }

  @Test
  void bytesThatAreNotUtf8AreNamedWithTheirOffset() throws IOException {
    byte[] latin = new byte[2_000_000];
    Arrays.fill(latin, (byte) 'a');
    latin[1_950_123] = (byte) 0xE9;
    Path file = Files.write(folder.resolve("latin.txt"), latin);
    String message = message(new TextFile(file));
    assertTrue(message.contains("latin.txt"), message);
    assertTrue(message.contains("byte offset 1950123 is 0xE9"), message);
    Path cut =
        Files.write(folder.resolve("cut.txt"), new byte[] {'a', 'b', (byte) 0xE2, (byte) 0x82});
    assertTrue(message(new TextFile(cut)).contains("byte offset 2"), message(new TextFile(cut)));
    try (Stream<Path> files = Files.list(folder.resolve("cache"))) {
      assertEquals(0, files.count(), "nothing half-written is left");
    }
  }

  private String message(TextSource source) {
    return Mistake.message(() -> TokenDataset.open(folder.resolve("cache"), List.of(source)));
  }

  @Property(tries = 200)
  void theHeldOutPartStartsWithACharacter(
      @ForAll @NotEmpty @Size(max = 300) List<Character> letters) throws IOException {
    StringBuilder text = new StringBuilder();
    letters.forEach(letter -> text.append((char) letter));
    // Lone surrogates become question marks.
    byte[] bytes = text.toString().getBytes(UTF_8);
    Path file = Files.createTempFile("held", ".txt");
    try {
      Files.write(file, bytes);
      long boundary;
      try (TextSource.Content content = new TextFile(file).open()) {
        boundary = TokenFile.heldOutFrom(content);
      }
      assertTrue(boundary >= bytes.length - bytes.length / 20 && boundary <= bytes.length);
      assertTrue(boundary < bytes.length - bytes.length / 20 + 4);
      strictly(bytes, 0, (int) boundary);
      strictly(bytes, (int) boundary, bytes.length);
    } finally {
      Files.delete(file);
    }
  }

  @Property(tries = 2000)
  void strictUtf8IsWhatTheJdkDecodes(@ForAll @Size(max = 12) List<Byte> values) {
    byte[] bytes = new byte[values.size()];
    for (int index = 0; index < bytes.length; index++) {
      // Bytes around the borders of the well-formed ranges come up more often than by chance.
      byte value = values.get(index);
      bytes[index] = index % 3 == 0 ? (byte) (0xE0 | (value & 0x1F)) : value;
    }
    boolean expected;
    try {
      strictly(bytes, 0, bytes.length);
      expected = true;
    } catch (IOException malformed) {
      expected = false;
    }
    boolean found;
    try {
      Utf8Check check = new Utf8Check("text", 0);
      for (byte value : bytes) {
        check.accept(new byte[] {value}, 1);
      }
      check.end();
      found = true;
    } catch (UserException malformed) {
      found = false;
    }
    assertEquals(expected, found);
  }

  private static void strictly(byte[] bytes, int from, int to) throws MalformedInputException {
    try {
      UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, from, to - from));
    } catch (CharacterCodingException malformed) {
      throw (MalformedInputException) malformed;
    }
  }
}
