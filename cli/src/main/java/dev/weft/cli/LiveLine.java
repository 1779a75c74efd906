package dev.weft.cli;

import dev.weft.core.cluster.Bytes;
import dev.weft.runtime.trainer.Progress;
import java.io.PrintStream;
import java.util.Locale;

/** Shows training: one line that is rewritten on a terminal, plain lines elsewhere. */
final class LiveLine implements Progress {
  private final PrintStream out;
  private final boolean terminal;
  private final boolean quiet;
  private final boolean colour;
  private boolean open;

  LiveLine(PrintStream out, boolean quiet) {
    this.out = out;
    this.quiet = quiet;
    this.terminal = System.console() != null && System.console().isTerminal();
    this.colour = terminal && System.getenv("NO_COLOR") == null;
  }

  @Override
  public void logged(Logged step) {
    if (quiet) {
      return;
    }
    String text =
        String.format(
            Locale.ROOT,
            "step %d/%d  loss %.4f  %,.0f tokens/s  %.1f GFLOP/s (%.0f %% of matmul peak)  %s  %s"
                + " left",
            step.step(),
            step.steps(),
            step.loss(),
            step.tokensPerSecond(),
            step.flopsPerSecond() / 1e9,
            step.shareOfPeak() * 100,
            Bytes.of(step.memoryBytes()),
            duration(step.secondsLeft()));
    if (terminal) {
      out.print(
          "\r" + (colour ? "\u001b[36m" : "") + text + (colour ? "\u001b[0m" : "") + "\u001b[K");
      out.flush();
      open = true;
    } else {
      out.println(text);
    }
  }

  @Override
  public void message(String text) {
    end();
    if (!quiet) {
      out.println(text);
    }
  }

  /** Leaves the live line as it is and goes on below. */
  void end() {
    if (open) {
      out.println();
      open = false;
    }
  }

  private static String duration(double seconds) {
    long whole = Math.round(seconds);
    return whole < 60 ? whole + " s" : "%d min %02d s".formatted(whole / 60, whole % 60);
  }
}
