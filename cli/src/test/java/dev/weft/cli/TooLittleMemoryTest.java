package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What does not fit is refused before anything is allocated, and what is said to mend it does. */
final class TooLittleMemoryTest {
  private static final String MODEL =
      "--layers 4 --hidden 32 --heads 2 --sequence 32 --vocabulary 67 --batch 16 --steps 1"
          + " --threads 2 ";

  private static final Pattern MISFIT =
      Pattern.compile(
          "weft: stage (\\d+) of (\\d+) does not fit: each of its devices has .* \\((\\d+) bytes\\)"
              + " of memory and needs .* \\((\\d+) bytes\\), .* too much\\. It keeps .*",
          Pattern.DOTALL);

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "1 | --device-memory 200KiB",
        "2 | --device-memory 3MiB --stages 2 --micro-batches 2",
      })
  void isNamedWithWhatMakesItFit(int stages, String line) {
    check(stages, line);
  }

  @Tag("nightly")
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "1 | --device-memory 3MiB",
        "1 | --device-memory 1500KB --recompute full --optimizer sgd",
        "1 | --device-memory 3600KiB --mesh data=2",
        "2 | --device-memory 3500KB --stages 2 --mesh data=2 --recompute full",
        "2 | --device-memory 5MB --stages 2 --mesh model=2 --schedule gpipe --micro-batches 4",
      })
  void isNamedWithWhatMakesItFitWhereverItIsSpread(int stages, String line) {
    check(stages, line);
  }

  private static void check(int stages, String line) {
    Map<String, String> options = options(MODEL + line);
    WeftProcess.Ended ended = run(options);
    assertEquals(Main.USER_MISTAKE, ended.code(), ended.output());
    Matcher misfit = MISFIT.matcher(ended.output());
    assertTrue(misfit.matches(), ended.output());
    assertEquals(stages, Integer.parseInt(misfit.group(2)), ended.output());
    long memory = Long.parseLong(misfit.group(3));
    assertTrue(memory < Long.parseLong(misfit.group(4)), ended.output());
    Matcher mends = Pattern.compile("It fits with (.*)\\.").matcher(ended.output());
    assertTrue(mends.find(), ended.output());
    for (String mend : mends.group(1).split(", or ")) {
      var mended = new LinkedHashMap<>(options);
      mended.putAll(options(mend));
      WeftProcess.Ended again = run(mended);
      assertEquals(0, again.code(), mend + " does not mend it: " + again.output());
    }
  }

  private static WeftProcess.Ended run(Map<String, String> options) {
    List<Object> command = new ArrayList<>(List.of("bench", "step"));
    options.forEach(
        (name, value) -> {
          command.add(name);
          command.add(value);
        });
    return WeftProcess.runHere(command.toArray());
  }

  private static Map<String, String> options(String line) {
    var options = new LinkedHashMap<String, String>();
    String[] words = line.strip().split(" +");
    for (int i = 0; i < words.length; i += 2) {
      options.put(words[i], words[i + 1]);
    }
    return options;
  }
}
