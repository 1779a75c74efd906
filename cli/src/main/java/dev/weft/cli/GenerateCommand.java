package dev.weft.cli;

import dev.weft.core.cluster.UserException;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.trainer.Generator;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weft generate}. */
@Command(
    name = "generate",
    mixinStandardHelpOptions = true,
    description = "Continues a text with a trained model.")
final class GenerateCommand implements Callable<Integer> {
  @Option(names = "--run", required = true, paramLabel = "RUN", description = "folder of the run")
  Path run;

  @Option(names = "--prompt", defaultValue = "The ", description = "the beginning of the text")
  String prompt;

  @Option(names = "--tokens", defaultValue = "200", description = "how many tokens to make")
  int tokens;

  @Option(
      names = "--temperature",
      defaultValue = "0.8",
      description = "how bold the choice is; 0 takes the likeliest token")
  double temperature;

  @Option(names = "--top-k", defaultValue = "40", description = "choose among so many; 0 for all")
  int topK;

  @Option(names = "--seed", defaultValue = "1", description = "seed of the choice")
  long seed;

  @Override
  public Integer call() {
    if (tokens < 1 || topK < 0 || !(temperature >= 0) || Double.isInfinite(temperature)) {
      throw new UserException(
          "--tokens must be at least 1, --top-k and --temperature must not be negative");
    }
    try (Checkpoint checkpoint = Runs.checkpoint(run);
        Generator generator = Generator.open(Runs.config(run), checkpoint)) {
      Utf8Printer printer = new Utf8Printer(System.out);
      System.out.print(prompt);
      generator.generate(
          prompt.getBytes(StandardCharsets.UTF_8), tokens, temperature, topK, seed, printer::print);
      printer.end();
    }
    return 0;
  }
}
