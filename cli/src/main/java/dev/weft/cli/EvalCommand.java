package dev.weft.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.weft.nn.model.TokenModel;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.data.EvaluationWindows;
import dev.weft.runtime.data.TextFile;
import dev.weft.runtime.data.Tokens;
import dev.weft.runtime.trainer.Session;
import dev.weft.runtime.trainer.TrainConfig;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weft eval}. */
@Command(
    name = "eval",
    mixinStandardHelpOptions = true,
    description = "The mean loss per token of a trained model over a text.")
final class EvalCommand implements Callable<Integer> {
  /** How results are printed. */
  enum Format {
    TEXT,
    JSON
  }

  @Option(names = "--run", required = true, paramLabel = "RUN", description = "folder of the run")
  Path run;

  @Option(names = "--data", required = true, paramLabel = "FILE", description = "a UTF-8 text")
  Path data;

  @Option(names = "--format", defaultValue = "text", description = "text or json")
  Format format;

  @Override
  public Integer call() {
    TrainConfig config = Runs.config(run);
    Tokens tokens = Tokens.read(new TextFile(data));
    EvaluationWindows windows =
        EvaluationWindows.of(
            "'" + data + "'",
            tokens,
            config.sequence(),
            config.microBatchRows(),
            TokenModel.IGNORED);
    try (Checkpoint checkpoint = Runs.checkpoint(run);
        Session session = Session.open(Session.spec(config))) {
      session.restore(checkpoint, false);
      double loss = session.evaluate(windows);
      if (format == Format.JSON) {
        System.out.println(
            new ObjectMapper()
                .createObjectNode()
                .put("loss", loss)
                .put("tokens", windows.tokens())
                .put("windows", windows.windows()));
      } else {
        System.out.printf(
            "loss %.4f nats per token over %d tokens in %d windows%n",
            loss, windows.tokens(), windows.windows());
      }
    }
    return 0;
  }
}
