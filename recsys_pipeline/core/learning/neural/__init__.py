"""The one trainer of neural models: network, examples, loss and metric go in; trained weights come out.

What it gives to every model: runs that repeat to the bit, checkpoints that resume to the bit, schedules of the learning
rate, early stopping on validation, batches shared by a mesh of devices, batches read ahead, mixed precision.
"""
