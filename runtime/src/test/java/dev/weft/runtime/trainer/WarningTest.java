package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.weft.core.cluster.DimSpec;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import dev.weft.nn.model.Loss;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.TokenModel;
import dev.weft.runtime.run.RunDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Training says where a device comes to hold what a model means to split. */
class WarningTest {
  @TempDir Path directory;

  /** Its table is split by rows, and then needed whole. */
  public static final class Lopsided implements TokenModel {
    @Override
    public Loss loss(Scope m, ModelConfig config, Tensor tokens, Tensor targets) {
      Tensor table =
          m.parameter("table", Initializer.normal(0.02), 2049, 2048).shard("data", DimSpec.WHOLE);
      Tensor rows = table.reshape(2048, 2049).sum(List.of(1));
      Tensor sum = rows.times(rows).sum();
      return new Loss(sum, sum.filled(1));
    }
  }

  private record Listening(List<String> heard) implements Progress {
    @Override
    public void logged(Logged step) {}

    @Override
    public void message(String text) {
      heard.add(text);
    }
  }

  private List<String> heard() throws IOException {
    Path text = directory.resolve("text.txt");
    Files.writeString(text, "The cat sat on the mat, and the dog looked on. ".repeat(50));
    var changes = new ObjectMapper().createObjectNode();
    changes.put("model", Lopsided.class.getName()).put("optimizer", "sgd").put("mesh", "data=2");
    changes.put("steps", 1).put("threads", 2).put("batch", 2).put("sequence", 8);
    changes.put("save-every", 0).put("eval-every", 0);
    changes.putArray("data").add(text.toString());
    TrainConfig config = TrainConfig.DEFAULT.with(changes, "the test");
    var heard = new ArrayList<String>();
    try (RunDirectory run = RunDirectory.create(directory, "run", config.toTree());
        Trainer trainer = Trainer.open(config)) {
      trainer.train(run, new Listening(heard));
    }
    return heard;
  }

  @Test
  void fullReplicationIsWarnedOf() throws IOException {
    List<String> warnings = heard().stream().filter(text -> text.startsWith("warning: ")).toList();
    assertEquals(1, warnings.size(), warnings::toString);
    assertTrue(warnings.getFirst().contains("every device comes to hold all of %"));
    assertTrue(warnings.getFirst().contains("f32[2049,2048]"), warnings::toString);
    assertTrue(warnings.getFirst().contains("WarningTest.java"), warnings::toString);
  }
}
