package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

/** One mistake anywhere in a program is told with the tensor, the axis and the line. */
class ExplainMistakesTest {
  private enum Mistake {
    UNKNOWN_AXIS,
    AXIS_TWICE,
    WRONG_RANK
  }

  /** A program of values one after another, each with a sharding, one of them wrong. */
  private record Program(String text, String tensor, int line, Mistake mistake, String sharding) {
    static Program of(Random random) {
      int values = 1 + random.nextInt(6);
      // The two inputs stand in lines of their own, so do the values, the results in the last.
      int wrong = random.nextInt(2 + values + 1);
      Mistake mistake = Mistake.values()[random.nextInt(Mistake.values().length)];
      int rank = 1 + random.nextInt(3);
      String sharding = wrong(mistake, rank, random);
      var lines = new ArrayList<String>();
      String shape = "f64[" + "12,".repeat(rank - 1) + "12]";
      for (int i = 0; i < 2; i++) {
        lines.add(
            (i == 0 ? "graph mistaken(" : "    ")
                + "%%i%d: %s %s%s"
                    .formatted(
                        i,
                        shape,
                        wrong == i ? sharding : right(rank, random),
                        i == 0 ? "," : ") {"));
      }
      String last = "%i0";
      for (int i = 0; i < values; i++) {
        String name = "%v" + i;
        String op = random.nextBoolean() ? "tanh(" + last + ")" : "add(" + last + ", %i1)";
        lines.add(
            "  %s = %s : %s %s"
                .formatted(name, op, shape, wrong == 2 + i ? sharding : right(rank, random)));
        last = name;
      }
      boolean result = wrong == 2 + values;
      lines.add("  return " + last + " : " + (result ? sharding : right(rank, random)));
      lines.add("}");
      String tensor = wrong < 2 ? "%i" + wrong : result ? last : "%v" + (wrong - 2);
      return new Program(String.join("\n", lines) + "\n", tensor, wrong + 1, mistake, sharding);
    }

    private static String right(int rank, Random random) {
      var dims = new ArrayList<String>();
      int at = random.nextInt(rank);
      for (int dim = 0; dim < rank; dim++) {
        dims.add(dim == at ? "{x}" : random.nextBoolean() ? "{}" : "?");
      }
      return "[" + String.join(",", dims) + "]";
    }

    private static String wrong(Mistake mistake, int rank, Random random) {
      return switch (mistake) {
        case UNKNOWN_AXIS -> right(rank, random).replace("{x}", "{w}");
        case AXIS_TWICE -> right(rank, random).replace("{x}", "{x,x}");
        case WRONG_RANK -> right(rank + 1, random);
      };
    }

    List<String> words() {
      return switch (mistake) {
        case UNKNOWN_AXIS -> List.of(tensor, "mesh axis w");
        case AXIS_TWICE -> List.of(tensor, "mesh axis x is used twice");
        case WRONG_RANK -> List.of(tensor, sharding, "rank");
      };
    }
  }

  @Property(tries = 60)
  void errorsNameTensorAxisAndLine(@ForAll long seed) throws IOException {
    Program program = Program.of(new Random(seed));
    Path file = Files.createTempFile("mistaken", ".txt");
    try {
      Files.writeString(file, program.text());
      var ended = WeftProcess.runHere("explain", "--graph", file.toString(), "--mesh", "x=2");
      String told = ended.output();
      assertEquals(Main.USER_MISTAKE, ended.code(), told + program);
      for (String word : program.words()) {
        assertTrue(told.contains(word), () -> told + " lacks " + word + " of " + program);
      }
      assertTrue(
          told.contains("line " + program.line()) || told.contains(".txt:" + program.line()),
          () -> told + " lacks the line of " + program);
    } finally {
      Files.delete(file);
    }
  }
}
