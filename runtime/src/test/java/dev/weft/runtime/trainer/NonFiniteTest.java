package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Training that meets no number says in which step and where, however many devices train. */
final class NonFiniteTest {
  private static final Session.BatchSource BATCHES =
      (_, input) -> {
        input.apply("tokens").fill((byte) 0);
        input.apply("targets").setAtIndex(ValueLayout.JAVA_LONG, 1, 3);
      };

  @ParameterizedTest
  @CsvSource({"1, ''", "1, data=2", "2, ''"})
  void namesTheStepAndTheOp(int stages, String mesh) {
    var changes = new ObjectMapper().createObjectNode();
    changes.put("steps", 3).put("threads", 2).put("batch", 2).put("micro-batches", 1);
    changes.put("layers", 2).put("hidden", 32).put("heads", 2).put("sequence", 16);
    changes.put("vocabulary", 37).put("mesh", mesh).put("stages", stages);
    TrainConfig config = TrainConfig.defaultsOf("gpt").with(changes, "the test");
    try (Session session = Session.open(config)) {
      session.initialize();
      assertTrue(Double.isFinite(session.step(1, 1e-3, BATCHES).loss()));
      assertTrue(Double.isFinite(session.step(2, Double.NaN, BATCHES).loss()));
      var failure = assertThrows(NonFiniteException.class, () -> session.step(3, 1e-3, BATCHES));
      String message = failure.getMessage();
      assertTrue(message.startsWith("the loss of step 3 is no finite number"), message);
      assertTrue(message.contains("the first op that went wrong: embedding"), message);
      // No device has failed: they may begin again.
      session.initialize();
      assertTrue(Double.isFinite(session.step(1, 1e-3, BATCHES).loss()));
    }
  }
}
