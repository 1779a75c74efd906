package dev.weft.runtime.data;

import dev.weft.core.cluster.UserException;
import dev.weft.runtime.data.TokenFile.DamagedException;
import dev.weft.runtime.storage.Disk;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What a run trains on and what it is measured on.
 *
 * @param training tokens of all texts but their held-out parts, one text after the other
 * @param validation the last 5 % of the bytes of every text, from a character boundary on; empty
 *     where all texts are shorter than 20 bytes
 * @param identity tells these very tokens from others, wherever they came from: a run that goes on
 *     compares it with the one it began with
 */
public record TokenDataset(Tokens training, Tokens validation, String identity) {
  private static final Logger LOG = LoggerFactory.getLogger(TokenDataset.class);
  private static final int KEY_DIGITS = 32;
  private static final String SUFFIX = ".tokens";
  private static final Duration KEPT = Duration.ofDays(30);

  /** A use is noted at most so often, so that files of tokens are not touched at every start. */
  private static final Duration NOTED = Duration.ofDays(1);

  /**
   * The tokens of the given texts, mapped from a file in the cache. The file is written when these
   * texts are first seen, and again when one of them has changed or the file is damaged; otherwise
   * the texts are not read. Who writes one deletes those that nobody has used for a month.
   *
   * @param cache the folder for files of tokens, made where it is missing
   * @param sources at least one text
   * @throws UserException if a text is missing, empty, unreadable or not UTF-8, or the cache cannot
   *     be written
   */
  public static TokenDataset open(Path cache, List<? extends TextSource> sources) {
    if (sources.isEmpty()) {
      throw new IllegalArgumentException("at least one text is needed");
    }
    Path file = cache.resolve(key(sources) + SUFFIX);
    try {
      if (Files.exists(file)) {
        try {
          TokenDataset dataset = TokenFile.map(file);
          noteUse(file);
          return dataset;
        } catch (DamagedException damaged) {
          LOG.warn("writing {} again: {}", file, damaged.getMessage());
        }
      }
      Files.createDirectories(cache);
      TokenFile.write(Disk.local(), file, sources);
      deleteUnused(cache);
      return TokenFile.map(file);
    } catch (IOException | DamagedException failure) {
      throw new UserException(
          "cannot keep the tokens of %s in '%s': %s: %s; make the folder writable, with at least as much free space as the texts take"
              .formatted(
                  sources.stream().map(TextSource::name).collect(Collectors.joining(", ")),
                  cache,
                  failure.getClass().getSimpleName(),
                  failure.getMessage()),
          failure);
    }
  }

  private static boolean olderThan(Duration age, Path file) throws IOException {
    return Files.getLastModifiedTime(file).toInstant().isBefore(Instant.now().minus(age));
  }

  private static void noteUse(Path file) {
    try {
      if (olderThan(NOTED, file)) {
        Files.setLastModifiedTime(file, FileTime.from(Instant.now()));
      }
    } catch (IOException readOnly) {
      // Then nobody deletes from the cache either.
      LOG.debug("cannot note the use of {}", file, readOnly);
    }
  }

  /**
   * Also what a killed process left half-written; a process that reads one keeps what it mapped.
   */
  private static void deleteUnused(Path cache) {
    try (Stream<Path> files = Files.list(cache)) {
      for (Path file : files.toList()) {
        String name = file.getFileName().toString();
        if ((name.endsWith(SUFFIX) || name.endsWith(".partial")) && olderThan(KEPT, file)) {
          Files.deleteIfExists(file);
        }
      }
    } catch (IOException failure) {
      LOG.warn("cannot delete old tokens in {}: {}", cache, failure.toString());
    }
  }

  /** The same for the same texts, unchanged, in the same order; another for all else. */
  private static String key(List<? extends TextSource> sources) {
    String all =
        sources.stream()
            .map(TextSource::fingerprint)
            .collect(Collectors.joining("\n", "tokens " + TokenFile.VERSION + "\n", ""));
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256").digest(all.getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest).substring(0, KEY_DIGITS);
    } catch (NoSuchAlgorithmException impossible) {
      throw new AssertionError("every Java platform has SHA-256", impossible);
    }
  }
}
