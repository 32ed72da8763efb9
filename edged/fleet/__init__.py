"""Reports over many devices, from the files that they exported: the engines that exist do the work."""
