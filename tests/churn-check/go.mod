module muster.testbed/churn-check

go 1.24

require github.com/anishathalye/porcupine v1.3.0
