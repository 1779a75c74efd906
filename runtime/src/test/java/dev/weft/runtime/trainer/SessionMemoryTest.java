package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.weft.core.cluster.UserException;
import dev.weft.engine.buffer.Slab;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A session that is closed, or never came to be, holds no memory any more. */
class SessionMemoryTest {
  @ParameterizedTest
  @ValueSource(strings = {"", "data=2"})
  void nothingIsLeft(String mesh) {
    int before = Slab.live();
    long held;
    try (Session session = Session.open(config(mesh, ""))) {
      held = session.memory().count();
      assertTrue(Slab.live() > before);
    }
    assertEquals(before, Slab.live());
    int devices = mesh.isEmpty() ? 1 : 2;
    // Enough for the tensors that live as long as the session, too little for the scratch memory.
    long tooLittle = (held - 4096) * devices;
    outOfMemory(config(mesh, tooLittle + "B"));
    assertEquals(before, Slab.live());
    outOfMemory(config(mesh, "64KiB"));
    assertEquals(before, Slab.live());
  }

  private static void outOfMemory(TrainConfig config) {
    UserException mistake = assertThrows(UserException.class, () -> Session.open(config));
    assertTrue(mistake.getMessage().contains("does not fit"), mistake.getMessage());
  }

  private static TrainConfig config(String mesh, String memory) {
    var changes = new ObjectMapper().createObjectNode();
    changes.put("steps", 1).put("threads", 2).put("batch", 2).put("micro-batches", 1);
    changes.put("layers", 1).put("hidden", 32).put("heads", 2).put("sequence", 16);
    changes.put("vocabulary", 37).put("mesh", mesh).put("device-memory", memory);
    return TrainConfig.defaultsOf("gpt").with(changes, "the test");
  }
}
