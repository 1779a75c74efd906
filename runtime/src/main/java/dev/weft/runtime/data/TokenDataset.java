package dev.weft.runtime.data;

import dev.weft.core.cluster.UserException;
import dev.weft.runtime.data.TokenFile.DamagedException;
import dev.weft.runtime.storage.Disk;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Collectors;
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

  /**
   * The tokens of the given texts, mapped from a file in the cache. The file is written when these
   * texts are first seen, and again when one of them has changed or the file is damaged; otherwise
   * the texts are not read.
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
    Path file = cache.resolve(key(sources) + ".tokens");
    try {
      if (Files.exists(file)) {
        try {
          return TokenFile.map(file);
        } catch (DamagedException damaged) {
          LOG.warn("writing {} again: {}", file, damaged.getMessage());
        }
      }
      Files.createDirectories(cache);
      TokenFile.write(Disk.local(), file, sources);
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
