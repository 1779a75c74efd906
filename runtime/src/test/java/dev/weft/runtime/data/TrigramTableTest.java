package dev.weft.runtime.data;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class TrigramTableTest {
  @Property(tries = 100)
  void chancesAddUpToOneAfterEveryContext(
      @ForAll @Size(max = 40) byte[] text, @ForAll byte first, @ForAll byte second) {
    TrigramTable table = new TrigramTable(Tokens.of(text));
    double none = 0;
    double one = 0;
    double two = 0;
    double seen = 0;
    for (int next = 0; next < 256; next++) {
      none += table.probability(next);
      one += table.probability(second & 0xFF, next);
      two += table.probability(first & 0xFF, second & 0xFF, next);
      seen += text.length < 2 ? 1.0 / 256 : table.probability(text[0] & 0xFF, text[1] & 0xFF, next);
    }
    assertEquals(1, none, 1e-12);
    assertEquals(1, one, 1e-12);
    assertEquals(1, two, 1e-12);
    assertEquals(1, seen, 1e-12);
  }

  @Test
  void weighsAsWittenAndBellDo() {
    TrigramTable table = new TrigramTable(Tokens.of("abab".getBytes(UTF_8)));
    double single = (2 + 2 / 256.0) / (4 + 2);
    double pair = (2 + single) / (2 + 1);
    double triple = (1 + pair) / (1 + 1);
    assertEquals(single, table.probability('b'), 1e-15);
    assertEquals(pair, table.probability('a', 'b'), 1e-15);
    assertEquals(triple, table.probability('b', 'a', 'b'), 1e-15);
    assertEquals(pair, table.probability('x', 'a', 'b'), 1e-15);
    assertEquals(single, table.probability('x', 'y', 'b'), 1e-15);
    double a = table.probability('a');
    assertEquals(
        -(Math.log(a) + Math.log(pair)) / 2, table.loss(Tokens.of("ab".getBytes(UTF_8))), 1e-12);
  }
}
