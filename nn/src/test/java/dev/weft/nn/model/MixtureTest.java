package dev.weft.nn.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.trace.Trace;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MixtureTest {
  private static List<Literal> route(long capacity, double... gates) {
    TensorType type = TensorType.of(DataType.F64, 1, gates.length / 3, 3);
    var graph =
        Trace.trace(
                "routing",
                DataType.F64,
                true,
                Map.of("gates", type),
                (_, data) -> {
                  var routing =
                      Mixture.Routing.of(Objects.requireNonNull(data.get("gates")), capacity);
                  return List.of(routing.dispatch(), routing.combine(), routing.balance());
                })
            .graph();
    return Interpreter.run(graph, List.of(Literal.of(type, gates)));
  }

  /**
   * Four tokens, three experts of two places. Expert 0 is the first choice of tokens 0, 1 and 2 and
   * has no place for the third, nor for token 3, which takes it before expert 1, its equal. Expert
   * 2 takes token 3, whose first choice it is, then token 1, and has no place for token 2.
   */
  @Test
  void placesGoToFirstChoicesFirstAndToEarlierTokens() {
    List<Literal> routing = route(2, 0.6, 0.3, 0.1, 0.5, 0.2, 0.3, 0.7, 0.1, 0.2, 0.2, 0.2, 0.6);
    double[][] combine = {
      {0.6 / 0.9, 0, 0.3 / 0.9, 0, 0, 0}, // token 0: place 0 of experts 0 and 1
      {0, 0.5 / 0.8, 0, 0, 0, 0.3 / 0.8},
      {0, 0, 0, 0, 0, 0},
      {0, 0, 0, 0, 0.6 / 0.8, 0},
    };
    for (int token = 0; token < 4; token++) {
      for (int place = 0; place < 6; place++) {
        int at = 6 * token + place;
        assertEquals(combine[token][place], routing.get(1).doubles()[at], 1e-12);
        assertEquals(combine[token][place] > 0 ? 1 : 0, routing.get(0).doubles()[at]);
      }
    }
    // First choices 3/4, 0, 1/4; mean gates 0.5, 0.2, 0.3.
    assertArrayEquals(new double[] {3 * (0.375 + 0.075)}, routing.get(2).doubles(), 1e-12);
  }

  @Test
  void withRoomForAllNobodyIsPassedBy() {
    double[] combine =
        route(4, 0.6, 0.3, 0.1, 0.5, 0.2, 0.3, 0.7, 0.1, 0.2, 0.2, 0.2, 0.6).get(1).doubles();
    for (int token = 0; token < 4; token++) {
      double sum = 0;
      for (int place = 0; place < 12; place++) {
        sum += combine[12 * token + place];
      }
      assertEquals(1, sum, 1e-12);
    }
  }

  @ParameterizedTest
  @CsvSource({"4, 1.25, 64, 40", "4, 1, 3, 2", "8, 0.01, 16, 1", "2, 9, 16, 16"})
  void capacityIsAShareOfTheChoices(int experts, double factor, long tokens, long expected) {
    assertEquals(expected, new Experts(experts, factor, 0, 1).capacity(tokens));
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 0, 'experts must be at least 2, found 1'",
    "2, 0, 0, 'capacity-factor must be above 0, found 0.0'",
    "2, 1, -1, 'balance-weight must not be negative, found -1.0'",
  })
  void numbersThatMakeNoSenseAreNamed(int count, double factor, double weight, String message) {
    var error = assertThrows(UserException.class, () -> new Experts(count, factor, weight, 1));
    assertEquals(message, error.getMessage());
  }
}
